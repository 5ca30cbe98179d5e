//! Puts a request to another user and answers with what that one says. It belongs to a path with the parameters "username"
//! and "uuid": whom to ask.

use protoo::host::{self, Refused};
use protoo::{Event, Field, Kind, Message, Outcome};

protoo::module!(
    handle,
    r#"{
        "name": "asker",
        "events": ["request", "reply"],
        "fields": ["param", "data", "status", "reason", "peer"],
        "capabilities": ["peer.read", "peer.send", "async"]
    }"#
);

fn handle(event: &Event) -> Outcome {
    match event.kind() {
        Kind::Request => ask(event),
        _ => answer(event),
    }
}

fn ask(event: &Event) -> Outcome {
    let (username, uuid) = (event.get_key(Field::Param, "username"), event.get_key(Field::Param, "uuid"));
    if host::peers(&username, &uuid) == 0 {
        return Outcome::error(404, "nobody to ask");
    }
    let question = Message::request(&username, &uuid, "question", "/questions").data(&event.get(Field::Data));
    match Message::progress(100, "asking").send().and_then(|()| question.send()) {
        Ok(()) => Outcome::pending(),
        Err(Refused::Absent) => Outcome::error(410, "peer offline"),
        Err(_) => Outcome::fail("the question cannot be sent"),
    }
}

fn answer(event: &Event) -> Outcome {
    let reason = event.get(Field::Reason);
    match event.number(Field::Status) {
        0..=199 => Outcome::pending(),
        200..=299 => {
            let reply = Outcome::reply(200, &format!("{} says \"{reason}\"", event.username()));
            match &*event.get(Field::Data) {
                "" => reply,
                data => reply.data(data),
            }
        }
        status => Outcome::error(status, &reason),
    }
}
