//! State: what a project has made, kept so that nothing is lost and nothing orphaned.
//!
//! | file | what lives there |
//! |---|---|
//! | [`store`](Store) | one project's state: reading it, and getting the one [`Writer`] |
//! | `writer` | every change that can be made, durable when the call returns |
//! | `commit` | group commit: concurrent changes share one fsync |
//! | `document` | what is known, and the shape of `instances.json` |
//! | `instance`, `network`, `intent` | the rows of the document |
//! | `record`, `replay`, `journal` | one line per change; reading them back; appending them |
//! | `load` | a consistent snapshot off the disk, without a lock |
//! | `compact`, `backup`, `salvage` | folding the journal into `instances.json`; old versions; going on after damage |
//! | `lock` | one writer at a time, and who it is |
//! | `deployment` | several deployments of one project |
//! | `shared` | one state for all machines of a team |
//! | `history` | the runs that changed something |
//! | `meant` | which instance a person means |
//! | `layout`, `disk`, `fields` | where the files are; the operations on them; typed fields out of JSON |
//! | `usual` | `instances.json` read fast, where nothing is wrong with it |
//!
//! The files of a project:
//!
//! ```text
//! instances.json              what exists, in the shape Spot Deployer users know (0600)
//! .spot/                      (0700, ignored by git)
//!   journal.jsonl             changes since instances.json was written, one per line
//!   lock                      who writes at present
//!   shared.json               what was agreed upon last with those who share the state
//!   history.jsonl             who ran what, what it changed, how it ended
//!   backups/                  the last ten versions of instances.json
//!   deployments/NAME/         the same of each further deployment
//! ```
//!
//! A change is one appended line, so its cost does not depend on how many instances there are. The
//! journal is folded into `instances.json` when the writer is closed and whenever it has grown large.
//! The code is synchronous: calls that change something block for one fsync.

mod backup;
mod commit;
mod compact;
mod deployment;
mod disk;
mod document;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod faulty;
mod fields;
mod history;
mod instance;
mod intent;
mod journal;
mod layout;
mod load;
mod lock;
mod meant;
mod network;
mod record;
mod replay;
mod salvage;
mod shared;
mod store;
mod usual;
#[cfg(test)]
mod versions;
mod writer;

pub use document::Document;
pub use history::{Began, Changes, Ended, History, Past};
pub use instance::Instance;
pub use intent::{Intent, IntentId, OpenIntent, Outcome};
pub use lock::{Holder, Life};
pub use network::Network;
pub use salvage::Salvage;
pub use shared::{Objects, Sharing, Version};
pub use store::Store;
pub use writer::Writer;
