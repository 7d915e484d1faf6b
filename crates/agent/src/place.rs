//! A database's place: a file, or a PostgreSQL database with what is needed to connect. Its secrets are never printed.

use seamline_postgres::database::Options;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a database is.
#[derive(Clone)]
pub enum Place {
    /// A file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(Box<Options>),
}

impl Place {
    /// Returns whether both are one database, whoever uses it.
    pub(crate) fn is_same_database(&self, other: &Place) -> bool {
        match (self, other) {
            (Place::Sqlite(one), Place::Sqlite(other)) => one == other,
            (Place::Postgres(one), Place::Postgres(other)) => bare(&one.url) == bare(&other.url),
            (Place::Sqlite(_), Place::Postgres(_)) | (Place::Postgres(_), Place::Sqlite(_)) => false,
        }
    }

    /// Returns the file.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Place::Sqlite(path) => Some(path),
            Place::Postgres(_) => None,
        }
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Place::Postgres(one), Place::Postgres(other)) => {
                one.url == other.url
                    && one.user == other.user
                    && one.password == other.password
                    && one.schema == other.schema
                    && one.replication == other.replication
            }
            (one, other) => one.is_same_database(other),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Sqlite(path) => write!(f, "{}", path.display()),
            Place::Postgres(options) => f.write_str(&bare(&options.url)),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Returns a URL without user, password and parameters.
fn bare(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{rest}")
}

/// Returns the folder that a file lies in, when the path names one.
pub(crate) fn folder_of(file: &Path) -> Option<PathBuf> {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::Place;
    use seamline_postgres::database::Options;

    fn place(url: &str, schema: &str) -> Place {
        let (user, password) = (Some("u".to_owned()), Some("hidden".to_owned()));
        Place::Postgres(Box::new(Options {
            url: url.to_owned(),
            user,
            password,
            schema: schema.to_owned(),
            replication: false,
        }))
    }

    #[test]
    fn no_secret_is_printed() {
        let place = place("postgres://u:hidden@db.example:5433/core?password=hidden", "public");
        for said in [format!("{place}"), format!("{place:?}")] {
            assert_eq!(said, "postgres://db.example:5433/core");
        }
    }

    #[test]
    fn one_database_under_two_schemas_is_one_database() {
        let (one, other) = (place("postgres://h/d", "a"), place("postgres://h/d", "b"));
        assert!(one.is_same_database(&other) && one != other);
        assert!(!one.is_same_database(&place("postgres://h/e", "a")));
    }
}
