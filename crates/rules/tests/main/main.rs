//! The rules through the text of the language: their pages, the estates of the repository, their levels.

mod cases;
mod diff;
mod estates;
mod levels;
mod mutants;
mod pages;
mod seeded;
mod signs;
mod uses;
