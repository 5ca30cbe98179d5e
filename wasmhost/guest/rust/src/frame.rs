use crate::host;
use std::borrow::Cow;

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    SelfTest,
    Request,
    Response,
    Notification,
    Reply,
    Timer,
    Online,
    Offline,
    Configuration,
    Drain,
    Connect,
    Returned,
}

const KINDS: [Kind; 12] = [
    Kind::SelfTest,
    Kind::Request,
    Kind::Response,
    Kind::Notification,
    Kind::Reply,
    Kind::Timer,
    Kind::Online,
    Kind::Offline,
    Kind::Configuration,
    Kind::Drain,
    Kind::Connect,
    Kind::Returned,
];

/// A field of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Field {
    Method = 1,
    Path,
    Base,
    Param,
    Data,
    Sender,
    Peer,
    PeerData,
    Property,
    Status,
    Reason,
    Error,
    Carry,
    Correlation,
    DeleteProperty,
    Query,
    Header,
    Origin,
    Remote,
    Transport,
    Secure,
    Timeout,
    Id,
    Ended,
}

impl Field {
    fn is_text(self) -> bool {
        use Field::*;
        !matches!(self, Status | Carry | Correlation | Secure | Timeout | Ended)
    }
}

/// What the module is told of. Fields that the manifest does not list are asked of the host.
pub struct Event<'a> {
    kind: Kind,
    frame: &'a [u8],
}

impl<'a> Event<'a> {
    pub(crate) fn new(kind: u32, frame: &'a [u8]) -> Self {
        Event { kind: KINDS[kind as usize], frame }
    }

    /// What the event is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Names the request or connection that the event is about.
    pub fn token(&self) -> u64 {
        u64::from_le_bytes(self.frame[8..16].try_into().unwrap())
    }

    /// The value of a field that has no key, "" if there is none. Numbers and the carry are no texts, see number and carry.
    pub fn get(&self, field: Field) -> Cow<'a, str> {
        self.get_key(field, "")
    }

    /// The value of a field that has a key, "" if there is none.
    pub fn get_key(&self, field: Field, key: &str) -> Cow<'a, str> {
        if !field.is_text() {
            return Cow::Borrowed("");
        }
        match self.find(field, Some(key)) {
            Some((_, value)) => Cow::Borrowed(text(value)),
            // SAFETY: as in text.
            None => host::get(field, key)
                .map_or(Cow::Borrowed(""), |value| Cow::Owned(unsafe { String::from_utf8_unchecked(value) })),
        }
    }

    /// The value of a field that is a number of 4 bytes, 0 if there is none.
    pub fn number(&self, field: Field) -> u32 {
        let bytes = match self.find(field, None) {
            Some((_, value)) => value.try_into().ok(),
            None => host::get(field, "").and_then(|value| value.try_into().ok()),
        };
        bytes.map_or(0, u32::from_le_bytes)
    }

    /// The user's name of the peer that the event is about.
    pub fn username(&self) -> Cow<'a, str> {
        match self.find(Field::Peer, None) {
            Some((key, _)) => Cow::Borrowed(text(key)),
            None => self.get_key(Field::Peer, "username"),
        }
    }

    /// Which of the user's devices it is.
    pub fn uuid(&self) -> Cow<'a, str> {
        match self.find(Field::Peer, None) {
            Some((_, value)) => Cow::Borrowed(text(value)),
            None => self.get_key(Field::Peer, "uuid"),
        }
    }

    /// What the module has given to itself.
    pub fn carry(&self) -> &'a [u8] {
        self.find(Field::Carry, None).map_or(&[], |(_, value)| value)
    }

    /// What the module has given to the message or timer that the event follows from.
    pub fn correlation(&self) -> u64 {
        self.find(Field::Correlation, None)
            .and_then(|(_, value)| value.try_into().ok())
            .map_or(0, u64::from_le_bytes)
    }

    /// All fields that were pushed: the field's number, key and value.
    pub fn fields(&self) -> impl Iterator<Item = (u16, &'a [u8], &'a [u8])> {
        let mut rest = self.frame.get(16..).unwrap_or_default();
        std::iter::from_fn(move || {
            let head = rest.get(..8)?;
            let id = u16::from_le_bytes([head[0], head[1]]);
            let key_size = u16::from_le_bytes([head[2], head[3]]) as usize;
            let size = key_size + u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
            let (key, value) = rest.get(8..8 + size)?.split_at(key_size);
            rest = rest.get(8 + padded(size)..)?;
            Some((id, key, value))
        })
    }

    /// Without a key, any will do.
    fn find(&self, field: Field, key: Option<&str>) -> Option<(&'a [u8], &'a [u8])> {
        self.fields()
            .find(|&(id, name, _)| id == field as u16 && key.map_or(true, |key| key.as_bytes() == name))
            .map(|(_, name, value)| (name, value))
    }
}

fn text(bytes: &[u8]) -> &str {
    // SAFETY: the host promises that texts are UTF-8, and could do as it likes with this memory anyway. Looking at 200 KB
    // again that it has looked at would take most of an event's fuel.
    unsafe { std::str::from_utf8_unchecked(bytes) }
}

fn padded(size: usize) -> usize {
    (size + 3) & !3
}

/// A frame for the host.
pub(crate) struct Frame {
    bytes: Vec<u8>,
    fields: u16,
}

impl Frame {
    pub(crate) const fn new() -> Self {
        Frame { bytes: Vec::new(), fields: 0 }
    }

    pub(crate) fn put(&mut self, field: Field, key: &str, value: &[u8]) {
        if self.fields == 0 {
            self.bytes.resize(16, 0);
        }
        self.bytes.extend_from_slice(&(field as u16).to_le_bytes());
        self.bytes.extend_from_slice(&u16::try_from(key.len()).unwrap().to_le_bytes());
        self.bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(padded(self.bytes.len()), 0);
        self.fields += 1;
    }

    pub(crate) fn put_text(&mut self, field: Field, value: &str) {
        self.put(field, "", value.as_bytes());
    }

    /// Cuts the reason off after 1,024 bytes: that is all that the host takes.
    pub(crate) fn put_reason(&mut self, field: Field, reason: &str) {
        let mut end = reason.len().min(1024);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        self.put_text(field, &reason[..end]);
    }

    pub(crate) fn put_number(&mut self, field: Field, number: u32) {
        self.put(field, "", &number.to_le_bytes());
    }

    /// Completes the frame: nothing if nothing was put.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.fields > 0 {
            let length = self.bytes.len() as u32;
            self.bytes[..4].copy_from_slice(&length.to_le_bytes());
            self.bytes[4..6].copy_from_slice(&1u16.to_le_bytes());
            self.bytes[6..8].copy_from_slice(&self.fields.to_le_bytes());
        }
        self.bytes
    }
}
