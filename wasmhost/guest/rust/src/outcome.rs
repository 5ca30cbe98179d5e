use crate::frame::{Field, Frame};
use crate::host::{self, Refused};
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Action {
    Next,
    SkipRoute,
    Reply,
    Error,
    Pending,
    SkipRouter,
}

const WATCH: u32 = 1;
const CHANGES: u32 = 2;
const RETURNED: u32 = 4;

/// What is to be done with an event.
#[must_use]
pub struct Outcome {
    pub(crate) action: Action,
    pub(crate) flags: u32,
    pub(crate) frame: Frame,
}

impl Outcome {
    fn new(action: Action) -> Self {
        Outcome { action, flags: 0, frame: Frame::new() }
    }

    fn with_status(action: Action, status: u32, reason: &str) -> Self {
        let mut outcome = Outcome::new(action);
        outcome.frame.put_number(Field::Status, status);
        outcome.frame.put_reason(Field::Reason, reason);
        outcome
    }

    /// Passes the request on.
    pub fn next() -> Self {
        Outcome::new(Action::Next)
    }

    /// Passes the request on behind the route that the module is in.
    pub fn skip_route() -> Self {
        Outcome::new(Action::SkipRoute)
    }

    /// Passes the request on behind the router that the module is in.
    pub fn skip_router() -> Self {
        Outcome::new(Action::SkipRouter)
    }

    /// Answers the request.
    pub fn reply(status: u32, reason: &str) -> Self {
        Outcome::with_status(Action::Reply, status, reason)
    }

    /// Accepts the connection, and says who it is.
    pub fn accept(username: &str, uuid: &str) -> Self {
        let mut outcome = Outcome::new(Action::Reply);
        outcome.frame.put(Field::Peer, username, uuid.as_bytes());
        outcome
    }

    /// Fails the request, or refuses the connection, with a reason that the peer sees.
    pub fn error(status: u32, reason: &str) -> Self {
        Outcome::with_status(Action::Error, status, reason)
    }

    /// Fails the request with an error whose text peers see only in development.
    pub fn fail(error: &str) -> Self {
        let mut outcome = Outcome::new(Action::Error);
        outcome.frame.put_reason(Field::Error, error);
        outcome
    }

    /// Keeps the request. It needs the capability async.
    pub fn pending() -> Self {
        Outcome::new(Action::Pending)
    }

    /// Tells the module of every response to the request.
    pub fn watch(mut self) -> Self {
        self.flags |= WATCH;
        self
    }

    /// Tells the module when the handlers behind it have returned.
    pub fn returned(mut self) -> Self {
        self.flags |= RETURNED;
        self
    }

    /// Gives the module something that comes back with the events that follow from this one, at most 4,096 bytes.
    pub fn carry(mut self, carry: &[u8]) -> Self {
        self.frame.put(Field::Carry, "", carry);
        self
    }

    /// Sets the data, JSON, of a reply, or changes that of the request or response.
    pub fn data(self, json: &str) -> Self {
        self.change(Field::Data, "", json)
    }

    /// Changes the request's path.
    pub fn path(self, path: &str) -> Self {
        self.change(Field::Path, "", path)
    }

    /// Changes the request's sender, a JSON object.
    pub fn sender(self, json: &str) -> Self {
        self.change(Field::Sender, "", json)
    }

    /// Stores a JSON value in the request.
    pub fn property(self, name: &str, json: &str) -> Self {
        self.change(Field::Property, name, json)
    }

    /// Deletes what is stored in the request.
    pub fn delete_property(self, name: &str) -> Self {
        self.change(Field::DeleteProperty, name, "")
    }

    /// Stores a JSON value in the peer; "" deletes it.
    pub fn peer_data(self, name: &str, json: &str) -> Self {
        self.change(Field::PeerData, name, json)
    }

    fn change(mut self, field: Field, key: &str, value: &str) -> Self {
        self.frame.put(field, key, value.as_bytes());
        if self.action != Action::Reply && self.action != Action::Error {
            self.flags |= CHANGES;
        }
        self
    }

    /// Ends what is pending under another event's token. It needs the capability async.
    pub fn complete(self, token: u64) -> Result<(), Refused> {
        host::complete(token, self.action as u32, &self.frame.finish())
    }
}

/// A message of the module's own: a request to a peer, or a provisional response.
#[must_use]
pub struct Message {
    frame: Frame,
    send: fn(&[u8]) -> Result<(), Refused>,
}

impl Message {
    /// A request to a peer, where an empty uuid stands for one of the user's devices. It needs the capability peer.send. To
    /// hear of the answers, as events of the kind Reply, the module needs async.
    pub fn request(username: &str, uuid: &str, method: &str, path: &str) -> Self {
        let mut frame = Frame::new();
        frame.put(Field::Peer, username, uuid.as_bytes());
        frame.put_text(Field::Method, method);
        frame.put_text(Field::Path, path);
        Message { frame, send: host::peer_send }
    }

    /// A provisional response to the request that the event is about, with a status of 100 to 199.
    pub fn progress(status: u32, reason: &str) -> Self {
        let mut frame = Frame::new();
        frame.put_number(Field::Status, status);
        frame.put_reason(Field::Reason, reason);
        Message { frame, send: host::progress }
    }

    /// Sets the data, JSON. "" is no data.
    pub fn data(mut self, json: &str) -> Self {
        if !json.is_empty() {
            self.frame.put_text(Field::Data, json);
        }
        self
    }

    /// Sets who the request is from, a JSON object.
    pub fn sender(mut self, json: &str) -> Self {
        self.frame.put_text(Field::Sender, json);
        self
    }

    /// Limits the time that the peer has for its answer.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.frame.put_number(Field::Timeout, timeout.as_millis() as u32);
        self
    }

    /// Sets a number that comes back with the answers.
    pub fn correlation(mut self, number: u64) -> Self {
        self.frame.put(Field::Correlation, "", &number.to_le_bytes());
        self
    }

    /// Sets what comes back with the answers, at most 4,096 bytes.
    pub fn carry(mut self, carry: &[u8]) -> Self {
        self.frame.put(Field::Carry, "", carry);
        self
    }

    /// Sends the message when the event is over.
    pub fn send(self) -> Result<(), Refused> {
        (self.send)(&self.frame.finish())
    }
}
