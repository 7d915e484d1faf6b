//! The `${NAME}` of an environment: its variables, else the process's environment, else the file that `NAME_FILE` names.

use crate::site::SiteError;
use std::path::PathBuf;

/// How deep variables may name others.
const DEPTH_MAX: usize = 8;

/// Where the texts of names come from.
pub(crate) struct Variables<'a> {
    /// Those that the environment declares.
    pub(crate) declared: &'a [(String, String)],
    /// The process's own.
    pub(crate) process: &'a dyn Fn(&str) -> Option<String>,
}

impl Variables<'_> {
    /// Returns a text with all its `${NAME}` replaced. `used_in` says where it is written; values never appear in errors.
    ///
    /// # Errors
    /// When a name is not there, names itself, or its file cannot be read.
    pub(crate) fn expand(&self, text: &str, used_in: &str) -> Result<String, SiteError> {
        self.expand_within(text, used_in, 0)
    }

    fn expand_within(&self, text: &str, used_in: &str, depth: usize) -> Result<String, SiteError> {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let after = &rest[at + 2..];
            let Some(end) = after.find('}') else { break };
            expanded.push_str(&rest[..at]);
            let name = &after[..end];
            if depth == DEPTH_MAX {
                return Err(unset(name, used_in, "leads back to itself"));
            }
            expanded.push_str(&self.value(name, used_in, depth)?);
            rest = &after[end + 1..];
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    fn value(&self, name: &str, used_in: &str, depth: usize) -> Result<String, SiteError> {
        if let Some((_, text)) = self.declared.iter().find(|(declared, _)| declared == name) {
            return self.expand_within(text, used_in, depth + 1);
        }
        if let Some(value) = (self.process)(name) {
            return Ok(value);
        }
        let file = format!("{name}_FILE");
        let declared = self.declared.iter().find(|(declared, _)| *declared == file);
        let path = match declared {
            Some((_, text)) => Some(self.expand_within(text, used_in, depth + 1)?),
            None => (self.process)(&file),
        };
        let Some(path) = path.map(PathBuf::from) else { return Err(unset(name, used_in, "is not set")) };
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                Ok(text.strip_suffix('\n').map(|it| it.trim_end_matches('\r')).unwrap_or(&text).to_owned())
            }
            Err(source) => {
                Err(SiteError::VariableFile { name: file, used_in: used_in.to_owned(), path, source })
            }
        }
    }
}

fn unset(name: &str, used_in: &str, what: &'static str) -> SiteError {
    SiteError::Variable { name: name.to_owned(), used_in: used_in.to_owned(), what }
}

/// Returns a variable of the process's environment.
pub(crate) fn of_process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::Variables;
    use std::io::Write;

    fn expanded(text: &str, declared: &[(&str, &str)], process: &[(&str, &str)]) -> Result<String, String> {
        let declared: Vec<(String, String)> =
            declared.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let process: Vec<(String, String)> =
            process.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let look = |name: &str| process.iter().find(|(it, _)| it == name).map(|(_, text)| text.clone());
        let variables = Variables { declared: &declared, process: &look };
        variables.expand(text, "`url` of `claims/claims-db`").map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_declared_comes_before_the_process_and_the_process_before_a_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "from a file").unwrap();
        let path = file.path().to_str().unwrap();
        let process = [("HOST", "of the process"), ("HOST_FILE", path), ("KEY_FILE", path)];
        assert_eq!(expanded("a ${HOST} b", &[("HOST", "declared")], &process).unwrap(), "a declared b");
        assert_eq!(expanded("${HOST}", &[], &process).unwrap(), "of the process");
        assert_eq!(expanded("${KEY}", &[], &process).unwrap(), "from a file", "the end of the line is cut");
        assert_eq!(expanded("${KEY}", &[("KEY_FILE", path)], &[]).unwrap(), "from a file");
        assert_eq!(expanded("${A}", &[("A", "${B}:1")], &[("B", "b")]).unwrap(), "b:1");
        assert_eq!(expanded("$5 and {x} and ${", &[], &[]).unwrap(), "$5 and {x} and ${");
    }

    #[test]
    fn what_is_missing_is_named_with_its_place_and_no_value_is_told() {
        let said = expanded("x${HOST}", &[], &[("OTHER", "hidden")]).unwrap_err();
        assert!(said.contains("`${HOST}`") && said.contains("claims/claims-db"), "{said}");
        let said = expanded("${A}", &[("A", "hidden${A}")], &[]).unwrap_err();
        assert!(said.contains("leads back to itself") && !said.contains("hidden"), "{said}");
        let said = expanded("${KEY}", &[], &[("KEY_FILE", "not/there")]).unwrap_err();
        assert!(said.contains("`not/there`") && said.contains("`KEY_FILE`"), "{said}");
    }
}
