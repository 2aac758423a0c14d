//! The forms of hostile requests over HTTP/2, as header fields. What is filled
//! in is as in `http1`.

/// A header field.
pub type Field = (&'static [u8], &'static [u8]);

/// Fields after those of an otherwise ordinary request.
pub const FIELDS: &[(&str, &[Field])] = &[
    ("plain", &[(b"{l}", b"{v}")]),
    ("as documented", &[(b"{n}", b"{v}")]),
    ("upper case", &[(b"{u}", b"{v}")]),
    ("mixed case", &[(b"{m}", b"{v}")]),
    ("underscores", &[(b"{_}", b"{v}")]),
    ("one underscore", &[(b"{h}", b"{v}")]),
    ("repeated", &[(b"{l}", b"{v}"), (b"{l}", b"{v}2")]),
    ("repeated in all spellings", &[(b"{l}", b"{v}"), (b"{_}", b"{v}"), (b"{h}", b"{v}")]),
    ("empty, then the value", &[(b"{l}", b""), (b"{l}", b"{v}")]),
    ("the value, then empty", &[(b"{l}", b"{v}"), (b"{l}", b"")]),
    ("empty", &[(b"{l}", b"")]),
    ("leading blanks", &[(b"{l}", b"   {v}")]),
    ("trailing blanks", &[(b"{l}", b"{v} \t ")]),
    ("a tab in the value", &[(b"{l}", b"{v}\tx")]),
    ("a blank in the name", &[(b"{l} ", b"{v}")]),
    ("a blank before the name", &[(b" {l}", b"{v}")]),
    ("a colon in the name", &[(b"{l}:", b"{v}")]),
    ("a colon before the name", &[(b":{l}", b"{v}")]),
    ("NUL in the value", &[(b"{l}", b"{v}\x00x")]),
    ("NUL in the name", &[(b"{l}\x00", b"{v}")]),
    ("CR in the value", &[(b"{l}", b"a\r{v}")]),
    ("LF in the value", &[(b"{l}", b"a\n{v}")]),
    ("a header in a value", &[(b"x-anything", b"a\r\n{n}: {v}")]),
    ("a header in a value, bare LF", &[(b"x-anything", b"a\n{n}: {v}")]),
    ("a header in a name", &[(b"x-anything: a\r\n{l}", b"{v}")]),
    ("bytes beyond ASCII in the value", &[(b"{l}", b"{v}\xff\xfe\x80")]),
    ("bytes beyond ASCII in the name", &[(b"{l}\xc2\xa0", b"{v}")]),
    ("an empty name", &[(b"", b"a"), (b"{l}", b"{v}")]),
    ("listed in connection", &[(b"{l}", b"{v}"), (b"connection", b"{l}")]),
    ("connection: close", &[(b"{l}", b"{v}"), (b"connection", b"close, {l}")]),
    ("listed in te", &[(b"te", b"trailers, {l}"), (b"{l}", b"{v}")]),
    ("transfer-encoding", &[(b"transfer-encoding", b"chunked"), (b"{l}", b"{v}")]),
    ("an upgrade", &[(b"connection", b"upgrade"), (b"upgrade", b"websocket"), (b"{l}", b"{v}")]),
    ("a length and no body", &[(b"content-length", b"5"), (b"{l}", b"{v}")]),
    ("two paths", &[(b":path", b"/api/v1/secrets"), (b"{l}", b"{v}")]),
    ("two methods", &[(b":method", b"DELETE"), (b"{l}", b"{v}")]),
    ("two authorities", &[(b":authority", b"x"), (b"{l}", b"{v}")]),
    ("a pseudo-header after the others", &[(b"{l}", b"{v}"), (b":scheme", b"http")]),
    ("an unknown pseudo-header", &[(b":unknown", b"x"), (b"{l}", b"{v}")]),
    ("an extended CONNECT", &[(b":protocol", b"websocket"), (b"{l}", b"{v}")]),
    ("another host", &[(b"host", b"x"), (b"{l}", b"{v}")]),
];

/// Fields in trailers, after an ordinary request with a body.
pub const TRAILERS: &[(&str, &[Field])] = &[
    ("in trailers", &[(b"{l}", b"{v}")]),
    ("in trailers, underscores", &[(b"{_}", b"{v}"), (b"{h}", b"{v}")]),
    ("in trailers, repeated", &[(b"x-anything", b"a"), (b"{l}", b""), (b"{l}", b"{v}")]),
    ("in trailers, upper case", &[(b"{u}", b"{v}")]),
    ("in trailers, LF", &[(b"x-anything", b"a\n{l}: {v}")]),
    ("in trailers, a pseudo-header", &[(b":path", b"/api/v1/secrets"), (b"{l}", b"{v}")]),
];
