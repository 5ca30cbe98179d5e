//! Decides who may connect, by a token in the query of the form "name:secret".

const std = @import("std");
const protoo = @import("protoo");

comptime {
    protoo.serve(handle);
    asm (protoo.manifest(
            \\{"name": "authorizer", "events": ["connect"], "fields": ["query:token", "query:uuid"]}
        ));
}

/// The secret is "sesame".
fn handle(event: protoo.Event) protoo.Result {
    const token = event.key(.query, "token");
    const colon = std.mem.indexOfScalar(u8, token, ':') orelse return protoo.fail(401, "wrong token");
    if (!protoo.equal(token[colon + 1 ..], "sesame")) return protoo.fail(401, "wrong token");
    protoo.putKey(.peer, token[0..colon], event.key(.query, "uuid"));
    protoo.putKey(.peer_data, "role", "\"user\"");
    return protoo.end(.reply, .{});
}
