//! The form in which messages are read: binary mode, JSON. What comes otherwise is brought into it as it leaves the log.

use crate::log::{Fetched, Incoming};
use seamline_message::codec::structured;

/// Brings the records of a fetch into the form in which they are read.
pub fn settle(fetched: &mut Fetched) {
    if let Fetched::Records(fetch) = fetched {
        fetch.records.iter_mut().for_each(record);
    }
}

/// Brings a record into the form in which it is read. One that cannot be brought there stays as it was sent, and says why.
pub fn record(record: &mut Incoming) {
    match structured::to_binary(&record.headers, record.value.as_deref()) {
        Ok(None) => {}
        Ok(Some((headers, value))) => (record.headers, record.value) = (headers, value),
        Err(violation) => record.fault = Some(violation),
    }
}
