//! `COPY … (FORMAT binary)` read row by row, without a copy of a value.

use seamline_compare::cell::{Cell, Decimal, FIRST_DAY, FOR_EVER, LAST_DAY, SINCE_EVER};
use seamline_compare::rowset::{ReadError, Sink};

/// Days and microseconds from 1970 to the day that PostgreSQL counts from.
const DAYS: i32 = 10_957;
const MICROS: i64 = 946_684_800_000_000;

/// How the values of a column arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wire {
    Boolean,
    Integer,
    Float,
    Decimal,
    Text,
    Bytes,
    Date,
    Time,
    Timestamp,
    Instant,
    Interval,
    Uuid,
    Json,
    Jsonb,
    Array(Box<Wire>),
    Opaque,
}

/// Begins to read rows with these columns.
pub(super) fn rows(wires: &[Wire]) -> Rows<'_> {
    Rows { wires, rest: Vec::new(), began: false, ended: false }
}

/// Rows on their way.
pub(super) struct Rows<'w> {
    wires: &'w [Wire],
    /// Bytes of a row that is not whole yet.
    rest: Vec<u8>,
    began: bool,
    ended: bool,
}

impl Rows<'_> {
    /// Takes the next bytes, and hands over the rows that are whole.
    ///
    /// # Errors
    /// When they are none of a row, and what the sink returns.
    pub(super) fn take(&mut self, piece: &[u8], sink: &mut Sink<'_>) -> Result<(), ReadError> {
        if self.rest.is_empty() {
            let used = self.whole(piece, sink)?;
            self.rest.extend_from_slice(&piece[used..]);
        } else {
            let mut rest = std::mem::take(&mut self.rest);
            rest.extend_from_slice(piece);
            let used = self.whole(&rest, sink)?;
            rest.drain(..used);
            self.rest = rest;
        }
        Ok(())
    }

    /// Says whether all rows came.
    ///
    /// # Errors
    /// When the stream ended before.
    pub(super) fn end(&self) -> Result<(), ReadError> {
        if self.ended { Ok(()) } else { Err(broken()) }
    }

    /// Hands over whole rows, and returns how many bytes they had.
    fn whole(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> Result<usize, ReadError> {
        let mut at = 0;
        if !self.began {
            // Signature, flags, and the length of what else the head holds.
            let Some(length) = bytes.get(15..19) else { return Ok(0) };
            let more = usize::try_from(number(length)).map_err(|_| broken())?;
            if bytes.len() < 19 + more {
                return Ok(0);
            }
            self.began = true;
            at = 19 + more;
        }
        let mut cells = Vec::with_capacity(self.wires.len());
        while !self.ended {
            cells.clear();
            let Some(used) = self.row(&bytes[at..], &mut cells)? else { break };
            at += used;
            if !self.ended {
                sink(&cells)?;
            }
        }
        Ok(at)
    }

    /// Reads a row; none when it is not whole yet.
    fn row<'b>(&mut self, bytes: &'b [u8], cells: &mut Vec<Cell<'b>>) -> Result<Option<usize>, ReadError> {
        let Some(count) = bytes.get(..2) else { return Ok(None) };
        let count = i16::from_be_bytes([count[0], count[1]]);
        if count == -1 {
            self.ended = true;
            return Ok(Some(2));
        }
        if usize::try_from(count) != Ok(self.wires.len()) {
            return Err(broken());
        }
        let mut at = 2;
        for wire in self.wires {
            let Some(length) = bytes.get(at..at + 4) else { return Ok(None) };
            at += 4;
            let Ok(length) = usize::try_from(number(length)) else {
                cells.push(Cell::Null);
                continue;
            };
            let Some(value) = bytes.get(at..at + length) else { return Ok(None) };
            at += length;
            cells.push(cell(value, wire).ok_or_else(broken)?);
        }
        Ok(Some(at))
    }
}

fn broken() -> ReadError {
    ReadError::Unreachable {
        message: "the server's rows are not in the form that it promised, or ended too early".to_owned(),
        help: "compare again; was the table altered meanwhile?".to_owned(),
    }
}

fn number(bytes: &[u8]) -> i32 {
    i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn wide(bytes: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(bytes.try_into().ok()?))
}

/// Returns a value; none when its bytes are none of its type.
fn cell<'b>(bytes: &'b [u8], wire: &Wire) -> Option<Cell<'b>> {
    Some(match wire {
        Wire::Boolean => Cell::Boolean(*bytes.first()? != 0),
        Wire::Integer => Cell::Integer(match bytes.len() {
            2 => i16::from_be_bytes(bytes.try_into().ok()?).into(),
            4 => number(bytes).into(),
            _ => wide(bytes)?,
        }),
        Wire::Float => Cell::Float(match bytes.len() {
            4 => f32::from_be_bytes(bytes.try_into().ok()?).into(),
            _ => f64::from_be_bytes(bytes.try_into().ok()?),
        }),
        Wire::Decimal => Cell::Decimal(decimal(bytes)?),
        // A database without an encoding may hold what is no UTF-8.
        Wire::Text => std::str::from_utf8(bytes).map_or(Cell::Bytes(bytes), |text| Cell::Text(text.into())),
        Wire::Bytes => Cell::Bytes(bytes),
        Wire::Date => Cell::Date(match number(bytes.get(..4)?) {
            i32::MAX => LAST_DAY,
            i32::MIN => FIRST_DAY,
            day => day + DAYS,
        }),
        Wire::Time => Cell::Time(wide(bytes)? * 1_000),
        Wire::Timestamp => Cell::Timestamp(moment(bytes)?, 0),
        Wire::Instant => Cell::Instant(moment(bytes)?, 0),
        Wire::Interval => {
            Cell::Interval(number(bytes.get(12..16)?), number(bytes.get(8..12)?), wide(bytes.get(..8)?)?)
        }
        Wire::Uuid => Cell::Uuid(bytes.try_into().ok()?),
        Wire::Json => Cell::Json(bytes),
        // Its first byte is the version of its form.
        Wire::Jsonb => Cell::Json(bytes.get(1..)?),
        Wire::Array(element) => array(bytes, element)?,
        Wire::Opaque => Cell::Opaque(bytes),
    })
}

fn moment(bytes: &[u8]) -> Option<i64> {
    Some(match wide(bytes)? {
        i64::MAX => FOR_EVER,
        i64::MIN => SINCE_EVER,
        micros => micros + MICROS,
    })
}

fn decimal(bytes: &[u8]) -> Option<Decimal> {
    let word = |at: usize| bytes.get(at..at + 2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let (count, weight, sign) = (usize::from(word(0)?), word(2)?.cast_signed(), word(4)?);
    Some(match sign {
        0xc000 => Decimal::not_a_number(),
        0xd000 => Decimal::infinite(false),
        0xf000 => Decimal::infinite(true),
        _ => {
            let groups: Option<Vec<u16>> = (0..count).map(|at| word(8 + at * 2)).collect();
            Decimal::from_groups(sign == 0x4000, weight.into(), groups?.into_iter())
        }
    })
}

fn array<'b>(bytes: &'b [u8], element: &Wire) -> Option<Cell<'b>> {
    let at = |at: usize| bytes.get(at..at + 4).map(number);
    let n_dimensions = usize::try_from(at(0)?).ok()?;
    let lengths: Option<Vec<usize>> =
        (0..n_dimensions).map(|dimension| usize::try_from(at(12 + dimension * 8)?).ok()).collect();
    let mut rest = bytes.get(12 + n_dimensions * 8..)?;
    if n_dimensions == 0 {
        return Some(Cell::List(Vec::new()));
    }
    elements(&lengths?, &mut rest, element)
}

fn elements<'b>(lengths: &[usize], rest: &mut &'b [u8], element: &Wire) -> Option<Cell<'b>> {
    let (length, inner) = lengths.split_first()?;
    let mut cells = Vec::new();
    for _ in 0..*length {
        if !inner.is_empty() {
            cells.push(elements(inner, rest, element)?);
            continue;
        }
        let (head, after) = rest.split_at_checked(4)?;
        let Ok(size) = usize::try_from(number(head)) else {
            cells.push(Cell::Null);
            *rest = after;
            continue;
        };
        let (value, after) = after.split_at_checked(size)?;
        cells.push(cell(value, element)?);
        *rest = after;
    }
    Some(Cell::List(cells))
}

#[cfg(test)]
mod tests {
    use super::{Wire, rows};
    use seamline_compare::cell::Cell;

    /// Two rows of a number and a text, and the end.
    fn stream() -> Vec<u8> {
        let mut bytes = b"PGCOPY\n\xff\r\n\0".to_vec();
        bytes.extend([0; 8]);
        for (number, text) in [(1_i32, Some("a")), (2, None)] {
            bytes.extend(2_i16.to_be_bytes());
            bytes.extend(4_i32.to_be_bytes());
            bytes.extend(number.to_be_bytes());
            match text {
                Some(text) => {
                    bytes.extend(i32::try_from(text.len()).unwrap().to_be_bytes());
                    bytes.extend(text.as_bytes());
                }
                None => bytes.extend((-1_i32).to_be_bytes()),
            }
        }
        bytes.extend((-1_i16).to_be_bytes());
        bytes
    }

    #[test]
    fn rows_come_whole_however_the_stream_is_cut() {
        let stream = stream();
        for size in 1..=stream.len() {
            let wires = [Wire::Integer, Wire::Text];
            let mut reader = rows(&wires);
            let mut found = Vec::new();
            for piece in stream.chunks(size) {
                reader
                    .take(piece, &mut |cells| {
                        found.push(format!("{cells:?}"));
                        Ok(())
                    })
                    .unwrap();
            }
            reader.end().unwrap();
            let expected = [
                format!("{:?}", [Cell::Integer(1), Cell::Text("a".into())]),
                format!("{:?}", [Cell::Integer(2), Cell::Null]),
            ];
            assert_eq!(found, expected, "pieces of {size}");
        }
    }

    #[test]
    fn a_stream_that_ends_early_is_told() {
        let stream = stream();
        let wires = [Wire::Integer, Wire::Text];
        let mut reader = rows(&wires);
        reader.take(&stream[..stream.len() - 2], &mut |_| Ok(())).unwrap();
        assert!(reader.end().is_err());
    }
}
