//! Decides who may connect, by a token in the query of the form "name:secret".

use protoo::{Event, Field, Outcome};

protoo::module!(handle, r#"{"name": "authorizer", "events": ["connect"], "fields": ["query:token", "query:uuid"]}"#);

/// The secret is "sesame".
fn handle(event: &Event) -> Outcome {
    match event.get_key(Field::Query, "token").split_once(':') {
        Some((name, "sesame")) => {
            Outcome::accept(name, &event.get_key(Field::Query, "uuid")).peer_data("role", r#""user""#)
        }
        _ => Outcome::error(401, "wrong token"),
    }
}
