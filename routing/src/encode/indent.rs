//! JSON for human readers, as Go's `json.MarshalIndent` writes it: two spaces a
//! level, nothing between the brackets of what is empty, and no line feed at the end.

/// Indents a document. Copies what is not structure, so any bytes will do.
pub(super) fn indented(json: &[u8]) -> Vec<u8> {
    // Aggregated discovery grows by a factor of 2.6.
    let mut writer = Writer { out: Vec::with_capacity(json.len().saturating_mul(3)), depth: 0 };
    let mut rest = json;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => {
                let end = string_length(rest);
                let (string, after) = rest.split_at_checked(end).unwrap_or((rest, b""));
                writer.out.push(b'"');
                writer.out.extend_from_slice(string);
                rest = after;
            }
            b'{' | b'[' => rest = writer.open(byte, rest),
            b'}' | b']' => writer.close(byte),
            b',' => {
                writer.out.push(b',');
                writer.line();
            }
            b':' => writer.out.extend_from_slice(b": "),
            b' ' | b'\t' | b'\r' | b'\n' => {}
            other => writer.out.push(other),
        }
    }
    writer.out
}

struct Writer {
    out: Vec<u8>,
    depth: usize,
}

impl Writer {
    /// Opens an object or list; if it is empty, closes it as well. Returns what follows.
    fn open<'j>(&mut self, bracket: u8, rest: &'j [u8]) -> &'j [u8] {
        self.out.push(bracket);
        let rest = rest.trim_ascii_start();
        match rest.split_first() {
            Some((&close @ (b'}' | b']'), after)) => {
                self.out.push(close);
                after
            }
            _ => {
                self.depth = self.depth.saturating_add(1);
                self.line();
                rest
            }
        }
    }

    fn close(&mut self, bracket: u8) {
        self.depth = self.depth.saturating_sub(1);
        self.line();
        self.out.push(bracket);
    }

    fn line(&mut self) {
        self.out.push(b'\n');
        self.out.resize(self.out.len().saturating_add(self.depth * 2), b' ');
    }
}

/// Returns the length of a string's rest, with the closing quote.
fn string_length(rest: &[u8]) -> usize {
    let mut escaped = false;
    let end = rest.iter().position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(rest.len(), |end| end + 1)
}
