//! Puts a request to another user and answers with what that one says. It belongs to a path with the parameters "username" and
//! "uuid": whom to ask.

const protoo = @import("protoo");

comptime {
    protoo.serve(handle);
    asm (protoo.manifest(
            \\{
            \\    "name": "asker",
            \\    "events": ["request", "reply"],
            \\    "fields": ["param", "data", "status", "reason", "peer"],
            \\    "capabilities": ["peer.read", "peer.send", "async"]
            \\}
        ));
}

fn handle(event: protoo.Event) protoo.Result {
    return if (event.kind == .request) ask(event) else answer(event);
}

fn ask(event: protoo.Event) protoo.Result {
    const username = event.key(.param, "username");
    const uuid = event.key(.param, "uuid");
    if (protoo.peers(username, uuid) == 0) return protoo.fail(404, "nobody to ask");
    protoo.progress(100, "asking") catch return protoo.failInternally("the peer cannot be told to wait");
    if (event.findKey(.data, "")) |question| protoo.put(.data, question);
    protoo.send(username, uuid, "question", "/questions") catch |refused| return switch (refused) {
        error.Absent => protoo.fail(410, "peer offline"),
        else => protoo.failInternally("the question cannot be sent"),
    };
    return protoo.pending();
}

fn answer(event: protoo.Event) protoo.Result {
    const status = event.number(.status);
    const reason = event.get(.reason);
    if (status < 200) return protoo.pending();
    if (status >= 300) return protoo.fail(status, reason);
    if (event.findKey(.data, "")) |data| protoo.put(.data, data);
    return protoo.reply(200, protoo.join(&.{ event.username(), " says \"", reason, "\"" }));
}
