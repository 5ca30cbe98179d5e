//! Moves requests from an old path to a new one and marks the responses.

const std = @import("std");
const protoo = @import("protoo");

comptime {
    protoo.serve(handle);
    asm (protoo.manifest(
            \\{"name": "rewriter", "events": ["request", "response", "returned"], "fields": ["path", "status", "data"]}
        ));
}

fn handle(event: protoo.Event) protoo.Result {
    return switch (event.kind) {
        .request => request(event),
        .response => response(event),
        .returned => if (event.number(.ended) == 0) protoo.reply(202, "somebody is still at it") else protoo.next(),
        else => protoo.next(),
    };
}

/// Rewrites /old/... to /new/..., and shows the handlers behind it where the request came from.
fn request(event: protoo.Event) protoo.Result {
    const path = event.get(.path);
    const old = "/old/";
    if (!std.mem.startsWith(u8, path, old)) return protoo.next();
    protoo.put(.path, protoo.join(&.{ "/new/", path[old.len..] }));
    protoo.putKey(.property, "moved", "true");
    return protoo.end(.next, .{ .changes = true, .watch = true, .returned = true });
}

fn response(event: protoo.Event) protoo.Result {
    const data = event.findKey(.data, "") orelse "null";
    const status = protoo.decimal(event.number(.status));
    protoo.put(.data, protoo.join(&.{ "{\"data\":", data, ",\"moved\":true,\"status\":", status, "}" }));
    return protoo.end(.next, .{ .changes = true });
}
