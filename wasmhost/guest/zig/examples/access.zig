//! Lets the staff into the rooms that are theirs. It belongs to a path with the parameter "room".

const protoo = @import("protoo");

comptime {
    protoo.serve(handle);
    asm (protoo.manifest(
            \\{"name": "access", "events": ["request"], "fields": ["param:room", "peer"]}
        ));
}

/// The room "staff" is for the user "alice".
fn handle(event: protoo.Event) protoo.Result {
    if (protoo.equal(event.key(.param, "room"), "staff") and !protoo.equal(event.username(), "alice"))
        return protoo.fail(403, "staff only");
    return protoo.next();
}
