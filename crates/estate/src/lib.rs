//! Finds and reads the files of an estate and hands them to the language.
