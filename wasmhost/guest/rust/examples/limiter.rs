//! Allows each user some requests in a minute.

use protoo::{host, Event, Outcome};
use std::time::Duration;

protoo::module!(handle, r#"{"name": "limiter", "events": ["request"], "fields": ["peer"], "capabilities": ["kv"]}"#);

const MOST: i64 = 3;
const MINUTE: Duration = Duration::from_secs(60);

fn handle(event: &Event) -> Outcome {
    match host::add(&format!("requests/{}", event.username()), 1, MINUTE) {
        Ok(count) if count > MOST => {
            Outcome::error(429, &format!("{count} requests in a minute, at most {MOST} are allowed"))
        }
        Ok(_) => Outcome::next(),
        Err(_) => Outcome::fail("the store does not take the number"),
    }
}
