//! Lets the staff into the rooms that are theirs. It belongs to a path with the parameter "room".

use protoo::{Event, Field, Outcome};

protoo::module!(handle, r#"{"name": "access", "events": ["request"], "fields": ["param:room", "peer"]}"#);

/// The room "staff" is for the user "alice".
fn handle(event: &Event) -> Outcome {
    if event.get_key(Field::Param, "room") == "staff" && event.username() != "alice" {
        return Outcome::error(403, "staff only");
    }
    Outcome::next()
}
