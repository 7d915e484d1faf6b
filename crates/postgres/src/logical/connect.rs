//! Where and as whom the stream is read: what the pool connects with, for a connection of another kind.

use super::buffer::Cursor;
use super::slot::PUBLICATION;
use pgwire_replication::ReplicationConfig;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::time::Duration;

/// How many messages of the stream are kept before the server must wait.
const MESSAGES: usize = 256;

/// How often the server is told how far it was read, and at the latest asked whether it is there.
const STATUS: Duration = Duration::from_secs(1);

/// Where and as whom the stream is read. Secrets are texts here: never print it.
#[derive(Clone)]
pub(crate) struct Connect {
    host: String,
    port: u16,
    user: String,
    password: String,
    database: String,
    encrypted: bool,
}

impl Connect {
    pub(crate) fn of(options: &PgConnectOptions, password: Option<&str>) -> Connect {
        let socket = options.get_socket().map(|path| path.display().to_string());
        Connect {
            host: socket.unwrap_or_else(|| options.get_host().to_owned()),
            port: options.get_port(),
            user: options.get_username().to_owned(),
            password: password.unwrap_or_default().to_owned(),
            database: options.get_database().unwrap_or(options.get_username()).to_owned(),
            encrypted: !matches!(
                options.get_ssl_mode(),
                PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer
            ),
        }
    }

    /// Returns how the slot is read from a cursor on; none where the place wants the connection encrypted, which this program
    /// cannot do for the stream.
    pub(crate) fn config(&self, slot: &str, cursor: Cursor) -> Option<ReplicationConfig> {
        if self.encrypted {
            return None;
        }
        let (user, password, database) = (&self.user, &self.password, &self.database);
        let mut config =
            ReplicationConfig::new(self.host.as_str(), user, password, database, slot, PUBLICATION)
                .with_port(self.port)
                .with_start_lsn(cursor.lsn)
                .with_ack_lsn(cursor.lsn);
        config.status_interval = STATUS;
        config.idle_wakeup_interval = STATUS;
        config.buffer_events = MESSAGES;
        config.application_name = Some("seamline".to_owned());
        // As of the other connections: moments come as this program reads them.
        config.options = Some("-c timezone=UTC -c datestyle=ISO".to_owned());
        Some(config)
    }
}

/// Returns the password that a URL names, if any.
pub(crate) fn password_in(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (authority, parameters) = match rest.split_once('?') {
        Some((before, parameters)) => (before, parameters),
        None => (rest, ""),
    };
    let named = parameters.split('&').find_map(|it| it.strip_prefix("password="));
    let authority = authority.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
    let written = named.or(user.map(|(_, password)| password))?;
    Some(percent_encoding::percent_decode_str(written).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::{Connect, password_in};
    use crate::logical::buffer::Cursor;
    use pgwire_replication::Lsn;

    #[test]
    fn a_password_is_found_where_a_url_may_have_it() {
        let check = |url, expected: Option<&str>| assert_eq!(password_in(url).as_deref(), expected, "{url}");
        check("postgres://u:p%40ss@h:1/d", Some("p@ss"));
        check("postgres://u@h/d?sslmode=require&password=x%20y", Some("x y"));
        check("postgres://u@h/d", None);
        check("postgres://h:5432/d", None);
    }

    #[test]
    fn a_place_that_wants_encryption_is_not_read_without_it() {
        let readable = |url: &str| {
            let connect = Connect::of(&url.parse().unwrap(), None);
            connect.config("slot", Cursor { lsn: Lsn(1), idx: 0 }).is_some()
        };
        assert!(readable("postgres://h/d") && readable("postgres://h/d?sslmode=prefer"));
        assert!(
            !readable("postgres://h/d?sslmode=require") && !readable("postgres://h/d?sslmode=verify-full")
        );
    }
}
