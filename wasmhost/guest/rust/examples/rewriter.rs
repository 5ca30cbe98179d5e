//! Moves requests from an old path to a new one and marks the responses.

use protoo::{Event, Field, Kind, Outcome};

protoo::module!(
    handle,
    r#"{"name": "rewriter", "events": ["request", "response", "returned"], "fields": ["path", "status", "data"]}"#
);

fn handle(event: &Event) -> Outcome {
    match event.kind() {
        Kind::Request => request(event),
        Kind::Response => response(event),
        Kind::Returned if event.number(Field::Ended) == 0 => Outcome::reply(202, "somebody is still at it"),
        _ => Outcome::next(),
    }
}

/// Rewrites /old/... to /new/..., and shows the handlers behind it where the request came from.
fn request(event: &Event) -> Outcome {
    match event.get(Field::Path).strip_prefix("/old/") {
        Some(rest) => Outcome::next()
            .path(&format!("/new/{rest}"))
            .property("moved", "true")
            .watch()
            .returned(),
        None => Outcome::next(),
    }
}

fn response(event: &Event) -> Outcome {
    let (status, data) = (event.number(Field::Status), event.get(Field::Data));
    let data = if data.is_empty() { "null" } else { &data };
    Outcome::next().data(&format!(r#"{{"data":{data},"moved":true,"status":{status}}}"#))
}
