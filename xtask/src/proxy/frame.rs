//! Finds where requests and answers begin and end in a stream of bytes.

use crate::proxy::{Protocol, Request};

/// What is kept of a frame: enough to tell which request it is.
const HEAD_MAX: usize = 24;

/// The first words of a PostgreSQL client that are no start of a session: the server answers, the client begins again.
const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();
const GSS_REQUEST: [u8; 4] = 80_877_104_u32.to_be_bytes();

/// Cuts what one side sends into frames.
pub(crate) struct Frames {
    protocol: Protocol,
    /// PostgreSQL's first message has no letter before its length.
    is_beginning: bool,
    head: Vec<u8>,
    n_seen: usize,
}

/// The first bytes of a frame, and where it ends in the chunk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) head: Vec<u8>,
    pub(crate) end: usize,
}

impl Frames {
    /// Returns a reader of requests; of answers too where the protocol is Kafka's.
    pub(crate) fn new(protocol: Protocol) -> Self {
        Self { protocol, is_beginning: true, head: Vec::new(), n_seen: 0 }
    }

    /// Returns the first frame that ends in `chunk`, if one does. Without one, the whole chunk has been taken; with
    /// one, the bytes up to its end.
    pub(crate) fn next(&mut self, chunk: &[u8]) -> Option<Frame> {
        let mut at = 0;
        while at < chunk.len() {
            let Some(len) = self.len() else {
                self.head.push(chunk[at]);
                self.n_seen += 1;
                at += 1;
                if self.len() == Some(self.n_seen) {
                    return Some(self.finish(at));
                }
                continue;
            };
            let n_taken = (len - self.n_seen).min(chunk.len() - at);
            let n_kept = n_taken.min(HEAD_MAX.saturating_sub(self.head.len()));
            self.head.extend(&chunk[at..at + n_kept]);
            self.n_seen += n_taken;
            at += n_taken;
            if self.n_seen == len {
                return Some(self.finish(at));
            }
        }
        None
    }

    /// Returns the frame's length, once known. A length below that of its own field counts as that.
    fn len(&self) -> Option<usize> {
        let (before, is_counted) = match self.protocol {
            Protocol::Kafka => (0, false),
            Protocol::Postgres => (usize::from(!self.is_beginning), true),
        };
        let field = self.head.get(before..before + 4)?;
        let said = u32::from_be_bytes([field[0], field[1], field[2], field[3]]) as usize;
        Some(before + if is_counted { said.max(4) } else { said + 4 })
    }

    fn finish(&mut self, end: usize) -> Frame {
        let head = std::mem::take(&mut self.head);
        self.n_seen = 0;
        let asks_for_encryption =
            head.len() == 8 && [SSL_REQUEST, GSS_REQUEST].iter().any(|code| head[4..] == *code);
        self.is_beginning = self.is_beginning && asks_for_encryption;
        Frame { head, end }
    }
}

impl Frame {
    /// Returns whether this is such a request.
    pub(crate) fn is(&self, request: Request) -> bool {
        match request {
            Request::Kafka(key) => self.head.get(4..6) == Some(&key.to_be_bytes()),
            Request::PostgresCommit => self.query().is_some_and(|text| {
                let text = text.trim_ascii();
                text.strip_suffix(b";").unwrap_or(text).trim_ascii_end().eq_ignore_ascii_case(b"commit")
            }),
        }
    }

    /// Returns the text of a short simple query.
    fn query(&self) -> Option<&[u8]> {
        self.head.strip_prefix(b"Q")?.get(4..)?.strip_suffix(&[0])
    }

    /// Returns what ties a Kafka answer to its request.
    pub(crate) fn correlation_of_request(&self) -> Option<[u8; 4]> {
        self.head.get(8..12)?.try_into().ok()
    }

    /// Returns what ties a Kafka answer to its request.
    pub(crate) fn correlation_of_answer(&self) -> Option<[u8; 4]> {
        self.head.get(4..8)?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Frames;
    use crate::proxy::{Protocol, Request};

    /// Feeds a stream in pieces of every size and returns whether each frame is the request.
    fn check(protocol: Protocol, stream: &[u8], request: Request, expected: &[bool]) {
        for size in 1..=stream.len() {
            let mut frames = Frames::new(protocol);
            let mut found = Vec::new();
            for mut chunk in stream.chunks(size) {
                while let Some(frame) = frames.next(chunk) {
                    found.push(frame.is(request));
                    chunk = &chunk[frame.end..];
                }
            }
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn commit_is_found_at_any_split_and_only_as_a_query() {
        let mut stream = Vec::new();
        stream.extend(b"\0\0\0\x08\x04\xd2\x16\x2f");
        stream.extend(b"\0\0\0\x08\0\x03\0\0");
        stream.extend(b"Q\0\0\0\x0aBEGIN\0");
        stream.extend(b"d\0\0\0\x10Q\0\0\0\x0bCOMMIT\0");
        stream.extend(b"Q\0\0\0\x0bCOMMIT\0");
        stream.extend(b"Q\0\0\0\x0ccommit;\0");
        stream.extend(b"Q\0\0\0\x14COMMIT PREPARED\0");
        stream.extend(b"S\0\0\0\x04");
        check(
            Protocol::Postgres,
            &stream,
            Request::PostgresCommit,
            &[false, false, false, false, true, true, false, false],
        );
    }

    #[test]
    fn kafka_request_is_found_by_its_key_at_any_split() {
        let mut stream = Vec::new();
        stream.extend([0, 0, 0, 10, 0, 0, 0, 9, 0, 0, 0, 1, 0, 26]);
        stream.extend([0, 0, 0, 8, 0, 26, 0, 5, 0, 0, 0, 2]);
        stream.extend([0, 0, 0, 9, 0, 24, 0, 5, 0, 0, 0, 3, 26]);
        check(Protocol::Kafka, &stream, Request::KAFKA_END_TXN, &[false, true, false]);
    }

    #[test]
    fn empty_frame_ends_where_it_begins() {
        check(Protocol::Kafka, &[0, 0, 0, 0, 0, 0, 0, 0], Request::Kafka(0), &[false, false]);
    }
}
