//! Any bytes in place of a merged document are written in every encoding, or refused, without a
//! panic; and what is indented stays the same JSON.
#![no_main]

use discovery_map::{Content, DocumentEncoding, DocumentForm, MergedDocument};
use libfuzzer_sys::fuzz_target;
use routing::merged::ReadOptions;
use serde_json::Value;

fuzz_target!(|json: &[u8]| {
    let document = MergedDocument {
        path: "/apis".to_owned(),
        form: DocumentForm::Plain,
        etag: None,
        set: 0,
        peer_etag: None,
        size: 0,
        gzip: String::new(),
    };
    let content = Content::new(json.to_vec(), Vec::new());
    for encoding in DocumentEncoding::ALL {
        let options = ReadOptions::new(None, b"", encoding);
        let answer = options.answer(&document, &content, std::iter::empty());
        if let (DocumentEncoding::IndentedJson, Some(answer)) = (encoding, answer)
            && let Ok(value) = serde_json::from_slice::<Value>(json)
        {
            assert_eq!(serde_json::from_slice::<Value>(answer.body).expect("it is JSON"), value);
        }
    }
});
