//! Allows each user some requests in a minute.

const protoo = @import("protoo");

comptime {
    protoo.serve(handle);
    asm (protoo.manifest(
            \\{"name": "limiter", "events": ["request"], "fields": ["peer"], "capabilities": ["kv"]}
        ));
}

const most = 3;
const minute = 60_000;

fn handle(event: protoo.Event) protoo.Result {
    const count = protoo.add(protoo.join(&.{ "requests/", event.username() }), 1, minute) catch
        return protoo.failInternally("the store does not take the number");
    if (count > most)
        return protoo.fail(429, protoo.join(&.{ protoo.decimal(count), " requests in a minute, at most ", protoo.decimal(most), " are allowed" }));
    return protoo.next();
}
