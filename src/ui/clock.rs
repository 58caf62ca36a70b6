//! The local time of day, without a search through the time zone database.

use std::sync::OnceLock;

use jiff::tz::TimeZone;

/// The present time where this machine is.
///
/// Finding the system's zone by its name walks a database of hundreds of files, a millisecond at
/// every start. `/etc/localtime` holds all that is needed, unless `TZ` names another zone.
pub(super) fn now() -> jiff::ZonedDateTime {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    let zone = ZONE.get_or_init(|| {
        if std::env::var_os("TZ").is_some() {
            return TimeZone::system();
        }
        let rules = std::fs::read("/etc/localtime").ok();
        rules.and_then(|rules| TimeZone::tzif("Local", &rules).ok()).unwrap_or(TimeZone::UTC)
    });
    jiff::Timestamp::now().to_zoned_datetime(zone.clone())
}
