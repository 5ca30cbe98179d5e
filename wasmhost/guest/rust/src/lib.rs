//! The library for protoo modules in Rust. ABI.md says what the numbers and fields mean.
//!
//! A module has a function that says what is to be done with an event, and a manifest:
//!
//! ```ignore
//! use protoo::{Event, Field, Outcome};
//!
//! protoo::module!(handle, r#"{"name": "staff", "events": ["request"], "fields": ["param:room"]}"#);
//!
//! fn handle(event: &Event) -> Outcome {
//!     if event.get_key(Field::Param, "room") == "staff" {
//!         return Outcome::error(403, "staff only");
//!     }
//!     Outcome::next()
//! }
//! ```
//!
//! A panic traps: the event fails, and the server makes another instance. Functions that need a capability name it.

mod frame;
pub mod host;
mod outcome;
#[doc(hidden)]
pub mod runtime;

pub use frame::{Event, Field, Kind};
pub use outcome::{Message, Outcome};

/// Makes a module of a function `fn(&Event) -> Outcome` and a manifest, which is the text of a JSON object.
#[macro_export]
macro_rules! module {
    ($handle:path, $manifest:expr) => {
        #[used]
        #[link_section = "protoo.manifest"]
        static PROTOO_MANIFEST: [u8; $manifest.len()] = $crate::runtime::array($manifest);

        #[no_mangle]
        extern "C" fn protoo_abi_v1() {}

        #[no_mangle]
        extern "C" fn protoo_init(_flags: u32) -> u64 {
            $crate::runtime::reserve(0)
        }

        #[no_mangle]
        extern "C" fn protoo_buffer(need: u32) -> u64 {
            $crate::runtime::reserve(need as usize)
        }

        #[no_mangle]
        extern "C" fn protoo_on(event: u32, length: u32) -> u64 {
            $crate::runtime::run(event, length, $handle)
        }
    };
}
