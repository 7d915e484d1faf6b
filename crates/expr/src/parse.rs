//! The parser: from text to a tree in which every part knows its bytes. Its grammar is a part of CEL's.

use crate::program::{DEPTH_MAX, ExprError};
use crate::token::{Placed, Token, refusal, tokens};
use rust_decimal::Decimal;
use seamline_contract::value::Value;
use std::ops::Range;

/// A part of an expression.
#[derive(Debug)]
pub(crate) struct Expr {
    pub(crate) form: Form,
    /// All of it, brackets included.
    pub(crate) bytes: Range<usize>,
    depth: usize,
}

/// What a part is.
#[derive(Debug)]
pub(crate) enum Form {
    Literal(Value),
    Name(String),
    Member(Box<Expr>, String),
    Index(Box<Expr>, Box<Expr>),
    List(Vec<Expr>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    /// Two or more conditions: joined by `&&`, or by `||`.
    Join(Join, Vec<Expr>),
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// A function, with the bytes of its name; what stands before the point comes first among the arguments.
    Call {
        name: String,
        at: Range<usize>,
        method: bool,
        arguments: Vec<Expr>,
    },
}

/// How conditions are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Join {
    All,
    Any,
}

/// An operator between two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Operators by how loosely they bind.
const LEVELS: [&[(&str, Operator)]; 3] = [
    &[
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<", Operator::Less),
        ("<=", Operator::LessOrEqual),
        (">", Operator::Greater),
        (">=", Operator::GreaterOrEqual),
        ("in", Operator::In),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)],
];

/// Words that CEL keeps for itself.
const RESERVED: [&str; 15] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "while",
];

type Parsed = Result<Expr, ExprError>;

/// Parses a text.
pub(crate) fn parse(text: &str) -> Parsed {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    if parser.tokens.len() == 1 {
        return Err(refusal(0..text.len(), "the expression is empty", "write what must hold, or a value"));
    }
    let expr = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(expr),
        _ => Err(parser.unexpected()),
    }
}

/// Returns an exact decimal: digits with at most one point, no exponent, at most 28 digits.
pub(crate) fn decimal(text: &str) -> Option<Decimal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let empty = whole.is_empty() || fraction.is_empty() != (digits == whole);
    if empty || !plain(whole) || !plain(fraction) || whole.trim_start_matches('0').len() + fraction.len() > 28
    {
        return None;
    }
    Decimal::from_str_exact(text).ok()
}

struct Parser {
    /// The last is `End`.
    tokens: Vec<Placed>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    fn here(&self) -> Range<usize> {
        self.tokens[self.at].1.clone()
    }

    /// Returns where the last word that was taken ends.
    fn end(&self) -> usize {
        self.tokens[self.at.saturating_sub(1)].1.end
    }

    fn next(&mut self) -> Placed {
        let placed = self.tokens[self.at].clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        placed
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(it) if *it == sign);
        if found {
            self.next();
        }
        found
    }

    fn close(&mut self, sign: &str, open: &Range<usize>) -> Result<(), ExprError> {
        if self.take(sign) {
            return Ok(());
        }
        match self.peek() {
            Token::End => {
                Err(refusal(open.clone(), "this bracket is not closed", format!("close it with `{sign}`")))
            }
            _ => Err(self.unexpected()),
        }
    }

    /// Returns the error of a word that cannot follow what stands before it.
    fn unexpected(&self) -> ExprError {
        let word = match self.peek() {
            Token::End => {
                return refusal(
                    self.here(),
                    "the expression stops too early",
                    "a value is missing at its end",
                );
            }
            Token::Name(name) | Token::Number(name) => name.as_str(),
            Token::Text(_) => "a text",
            Token::Sign(sign) => sign,
        };
        let help = match word {
            "and" => "write `&&`",
            "or" => "write `||`",
            "is" => "write `==`",
            "not" => "write `!`",
            ")" | "]" => "no bracket is open that it closes, or a value is missing before it",
            _ => "an operator or a value is missing before it",
        };
        refusal(self.here(), format!("`{word}` is not expected here"), help)
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, ExprError>) -> Result<T, ExprError> {
        if self.depth >= DEPTH_MAX {
            return Err(too_deep(self.here()));
        }
        self.depth += 1;
        let read = read(self)?;
        self.depth -= 1;
        Ok(read)
    }

    fn expression(&mut self) -> Parsed {
        self.deeper(|parser| {
            let condition = parser.joined(Join::Any)?;
            if !parser.take("?") {
                return Ok(condition);
            }
            let yes = parser.joined(Join::Any)?;
            if !parser.take(":") {
                let missing =
                    refusal(parser.here(), "`:` is missing after `?`", "write `condition ? one : other`");
                return Err(missing);
            }
            let no = parser.expression()?;
            made(Form::If(Box::new(condition), Box::new(yes), Box::new(no)))
        })
    }

    fn joined(&mut self, join: Join) -> Parsed {
        let (sign, part): (_, fn(&mut Self) -> Parsed) = match join {
            Join::Any => ("||", |parser| parser.joined(Join::All)),
            Join::All => ("&&", |parser| parser.binary(0)),
        };
        let first = part(self)?;
        let mut rest = Vec::new();
        while self.take(sign) {
            rest.push(part(self)?);
        }
        if rest.is_empty() {
            return Ok(first);
        }
        rest.insert(0, first);
        made(Form::Join(join, rest))
    }

    fn binary(&mut self, level: usize) -> Parsed {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Token::Sign(sign) = *self.peek() {
            let Some((_, operator)) = operators.iter().find(|(it, _)| *it == sign) else { break };
            self.next();
            let right = self.binary(level + 1)?;
            left = made(Form::Binary(*operator, Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed {
        let start = self.here().start;
        if self.take("!") {
            let inner = self.deeper(Self::unary)?;
            let bytes = start..inner.bytes.end;
            return placed(Form::Not(Box::new(inner)), bytes);
        }
        if !self.take("-") {
            let primary = self.primary()?;
            return self.postfix(primary);
        }
        if let Token::Number(digits) = self.peek() {
            let text = format!("-{digits}");
            self.next();
            let literal = number(&text, start..self.end())?;
            return self.postfix(literal);
        }
        let inner = self.deeper(Self::unary)?;
        let bytes = start..inner.bytes.end;
        placed(Form::Negate(Box::new(inner)), bytes)
    }

    fn postfix(&mut self, mut expr: Expr) -> Parsed {
        loop {
            let start = expr.bytes.start;
            let open = self.here();
            if self.take(".") {
                let at = self.here();
                let Token::Name(name) = self.peek().clone() else { return Err(self.unexpected()) };
                self.next();
                let form = if matches!(self.peek(), Token::Sign("(")) {
                    let mut arguments = self.arguments()?;
                    arguments.insert(0, expr);
                    Form::Call { name, at, method: true, arguments }
                } else {
                    Form::Member(Box::new(expr), name)
                };
                expr = placed(form, start..self.end())?;
            } else if self.take("[") {
                let index = self.expression()?;
                self.close("]", &open)?;
                expr = placed(Form::Index(Box::new(expr), Box::new(index)), start..self.end())?;
            } else {
                return Ok(expr);
            }
        }
    }

    /// Reads arguments between round brackets.
    fn arguments(&mut self) -> Result<Vec<Expr>, ExprError> {
        let open = self.here();
        self.next();
        self.until(")", &open)
    }

    fn until(&mut self, sign: &str, open: &Range<usize>) -> Result<Vec<Expr>, ExprError> {
        let mut parts = Vec::new();
        if self.take(sign) {
            return Ok(parts);
        }
        loop {
            parts.push(self.expression()?);
            if !self.take(",") {
                self.close(sign, open)?;
                return Ok(parts);
            }
        }
    }

    fn primary(&mut self) -> Parsed {
        let (token, bytes) = (self.peek().clone(), self.here());
        match token {
            Token::Number(digits) => {
                self.next();
                number(&digits, bytes)
            }
            Token::Text(text) => {
                self.next();
                placed(Form::Literal(Value::String(text)), bytes)
            }
            Token::Name(name) => {
                self.next();
                self.name(name, bytes)
            }
            Token::Sign("(") => {
                self.next();
                let mut inner = self.expression()?;
                self.close(")", &bytes)?;
                inner.bytes = bytes.start..self.end();
                Ok(inner)
            }
            Token::Sign("[") => {
                self.next();
                let elements = self.until("]", &bytes)?;
                placed(Form::List(elements), bytes.start..self.end())
            }
            Token::Sign(_) | Token::End => Err(self.unexpected()),
        }
    }

    fn name(&mut self, name: String, bytes: Range<usize>) -> Parsed {
        let form = match name.as_str() {
            "null" => Form::Literal(Value::Null),
            "true" => Form::Literal(Value::Boolean(true)),
            "false" => Form::Literal(Value::Boolean(false)),
            "not" if !matches!(self.peek(), Token::End | Token::Sign(_)) => {
                return Err(refusal(bytes, "`not` is no operator", "write `!`"));
            }
            word if RESERVED.contains(&word) => {
                return Err(refusal(
                    bytes,
                    format!("`{word}` is a word that CEL keeps for itself"),
                    "quote it if it is a text",
                ));
            }
            _ if matches!(self.peek(), Token::Sign("(")) => {
                let arguments = self.arguments()?;
                Form::Call { name, at: bytes.clone(), method: false, arguments }
            }
            _ => Form::Name(name),
        };
        placed(form, bytes.start..self.end())
    }
}

fn number(text: &str, bytes: Range<usize>) -> Parsed {
    let value = if text.contains('.') {
        decimal(text).map(Value::Decimal)
    } else {
        text.parse().ok().map(Value::Integer)
    };
    match value {
        Some(value) => placed(Form::Literal(value), bytes),
        None => Err(refusal(
            bytes,
            "the number has too many digits",
            "an integer has 64 bits, a decimal at most 28 digits, such as `decimal('10000000000000000000')`",
        )),
    }
}

fn too_deep(bytes: Range<usize>) -> ExprError {
    refusal(
        bytes,
        "the expression is nested too deeply",
        format!("nest at most {DEPTH_MAX} operations; compute parts in the owner's code"),
    )
}

/// Returns a part that reaches from its first to its last part.
fn made(form: Form) -> Parsed {
    let parts = parts(&form);
    let start = parts.iter().map(|part| part.bytes.start).min().unwrap_or(0);
    let end = parts.iter().map(|part| part.bytes.end).max().unwrap_or(0);
    placed(form, start..end)
}

fn placed(form: Form, bytes: Range<usize>) -> Parsed {
    let depth = parts(&form).iter().map(|part| part.depth).max().unwrap_or(0) + 1;
    // Invariant: no tree is deeper, so that checking, evaluating and dropping one may recurse.
    if depth > DEPTH_MAX {
        return Err(too_deep(bytes));
    }
    Ok(Expr { form, bytes, depth })
}

fn parts(form: &Form) -> Vec<&Expr> {
    match form {
        Form::Literal(_) | Form::Name(_) => Vec::new(),
        Form::Member(a, _) | Form::Not(a) | Form::Negate(a) => vec![a],
        Form::Index(a, b) | Form::Binary(_, a, b) => vec![a, b],
        Form::If(a, b, c) => vec![a, b, c],
        Form::List(parts) | Form::Join(_, parts) | Form::Call { arguments: parts, .. } => {
            parts.iter().collect()
        }
    }
}
