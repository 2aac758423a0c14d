//! The bodies of servers' discovery documents, as far as they have come.
//!
//! The filter keeps them instead of the host, whose buffer can be smaller than a
//! document (`per_connection_buffer_limit_bytes`). It is not told when a stream ends,
//! so what it keeps is bounded, and the oldest body is forgotten first. Its client
//! gets the merged document as the map has it.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::allotment::Allotment;
use crate::host::StreamId;

/// The most bodies of a control plane in a worker.
pub const MAX_BODIES: usize = 1024;

/// Bodies by their streams, the oldest first.
#[derive(Debug)]
pub(crate) struct Bodies {
    bodies: RefCell<VecDeque<(StreamId, Vec<u8>)>>,
    allotment: Allotment,
}

impl Bodies {
    pub(crate) fn new(allotment: Allotment) -> Self {
        Self { bodies: RefCell::default(), allotment }
    }

    /// Begins a body.
    pub(crate) fn begin(&self, stream: StreamId) {
        self.take(stream);
        let mut bodies = self.bodies.borrow_mut();
        if bodies.len() >= MAX_BODIES {
            bodies.pop_front();
        }
        bodies.push_back((stream, Vec::new()));
        self.allotment.set(size(&bodies));
    }

    /// Adds a chunk to a body. Returns whether the body is still kept.
    pub(crate) fn add(&self, stream: StreamId, chunk: &[u8]) -> bool {
        let mut bodies = self.bodies.borrow_mut();
        let Some((_, body)) = bodies.iter_mut().find(|(own, _)| *own == stream) else {
            return false;
        };
        body.extend_from_slice(chunk);
        self.allotment.set(size(&bodies));
        while self.allotment.is_exceeded() && bodies.pop_front().is_some() {
            self.allotment.set(size(&bodies));
        }
        bodies.iter().any(|(own, _)| *own == stream)
    }

    /// Takes a body; `None` if it is not kept.
    pub(crate) fn take(&self, stream: StreamId) -> Option<Vec<u8>> {
        let mut bodies = self.bodies.borrow_mut();
        let at = bodies.iter().position(|(own, _)| *own == stream)?;
        let taken = bodies.remove(at).map(|(_, body)| body);
        self.allotment.set(size(&bodies));
        taken
    }
}

fn size(bodies: &VecDeque<(StreamId, Vec<u8>)>) -> usize {
    bodies.iter().map(|(_, body)| body.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allotment::MAX_BODY_BYTES;

    #[test]
    fn a_body_is_collected_and_taken_once() {
        let bodies = Bodies::new(Allotment::default());
        assert!(!bodies.add(StreamId(1), b"a"));
        bodies.begin(StreamId(1));
        bodies.begin(StreamId(2));
        assert!(bodies.add(StreamId(1), b"a") && bodies.add(StreamId(2), b"x"));
        assert!(bodies.add(StreamId(1), b"b"));
        assert_eq!(bodies.take(StreamId(1)).as_deref(), Some(&b"ab"[..]));
        assert_eq!(bodies.take(StreamId(1)), None);
        bodies.begin(StreamId(2));
        assert_eq!(bodies.take(StreamId(2)).as_deref(), Some(&b""[..]));
    }

    #[test]
    fn the_oldest_body_is_forgotten_when_there_are_too_many() {
        let bodies = Bodies::new(Allotment::default());
        for stream in 0..=u32::try_from(MAX_BODIES).unwrap() {
            bodies.begin(StreamId(stream));
        }
        assert_eq!(bodies.take(StreamId(0)), None);
        assert!(bodies.take(StreamId(1)).is_some());
    }

    #[test]
    fn the_oldest_bodies_are_forgotten_when_there_are_too_many_bytes() {
        let bodies = Bodies::new(Allotment::default());
        let third = vec![0; MAX_BODY_BYTES / 3];
        for stream in (0..4).map(StreamId) {
            bodies.begin(stream);
            assert!(bodies.add(stream, &third));
        }
        assert_eq!(bodies.take(StreamId(0)), None);
        assert!(bodies.take(StreamId(1)).is_some());
        assert!(bodies.add(StreamId(2), &third));
        bodies.begin(StreamId(4));
        assert!(!bodies.add(StreamId(4), &vec![0; MAX_BODY_BYTES + 1]));
        assert_eq!(bodies.take(StreamId(3)), None);
    }
}
