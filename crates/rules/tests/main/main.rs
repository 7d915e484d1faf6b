//! The rules through the text of the language: their pages, the estates of the repository, their levels.

mod cases;
mod diff;
mod estates;
mod fuzz;
mod levels;
mod pages;
mod uses;
