//! The rules through the text of the language: their pages, the estates of the repository, their levels.

mod cases;
mod cases_of_change;
mod changes;
mod consumers;
mod diff;
mod estates;
mod fuzz;
mod governance;
mod levels;
mod mutants;
mod pages;
mod promises;
mod seeded;
mod signs;
mod uses;
