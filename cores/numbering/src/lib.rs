//! What a telephone number means.
//!
//! Parses what people and programs write as `To` and `From`, knows the countries, their number
//! shapes, the cities and clocks behind North American area codes, and holds an endless,
//! deterministic inventory of numbers to buy.
//!
//! It does not know who owns a number, what a carrier thinks of it, or what it costs; it does no
//! I/O. Validity is about numbering plans, never about assignment to a subscriber.
//!
//! Invariants:
//!
//! * An [`E164`] has 7 to 15 digits and no leading zero.
//! * Parsing any text returns; it never panics.
//! * The same search gives the same numbers, and a longer one begins with the shorter one.
//! * Every number found is valid, of the country and type searched, and satisfies the filter.
//!
//! The first question about a number outside of North America loads the library's metadata (about
//! 11 ms and 8 MB, once).
//!
//! ```
//! use numbering::{Address, Filter, NumberType, locate, search};
//!
//! let to = Address::parse_to("(415) 555-0100").unwrap();
//! assert_eq!(to.to_string(), "+14155550100");
//! let number = to.number().unwrap();
//! assert!(number.is_valid());
//! assert_eq!(locate(number).unwrap().state, "CA");
//!
//! let filter = Filter { area_code: Some(415), ..Filter::default() };
//! let found = search("US", NumberType::Local, &filter, 2, &|_| false).unwrap();
//! assert!(found[0].phone_number.to_string().starts_with("+1415"));
//! ```

mod address;
mod contains;
mod country;
mod country_table;
mod e164;
mod examine;
mod inventory;
mod place;
mod place_table;
mod zone;

pub use address::{Address, AddressError, Channel, ShortCode};
pub use country::{AddressRequirements, AlphaSender, Capabilities, Country, NumberType, Offer};
pub use e164::{E164, Kind, NotE164};
pub use examine::{Examined, Invalid, examine};
pub use inventory::{AvailableNumber, Filter, FilterError, contains, search};
pub use place::{LatLong, Locality, locate};
pub use zone::{zone_of_number, zone_of_zip};
