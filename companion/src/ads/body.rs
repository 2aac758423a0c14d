//! The body of a gRPC response: it sends resources without a copy of them for each Envoy.
//!
//! An encoded message and another one after it are one message with the fields of both, as protobuf
//! defines. So the resources are encoded once, and every stream sends the same bytes after an
//! envelope of its own. A thousand Envoys that get a large map at once need the memory of one.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Body, Frame};
use tokio::sync::mpsc;
use tonic::Status;

use super::form::{Form, Message};

/// What a stream sends next. An error ends it.
pub type Messages = mpsc::Receiver<Result<Message, Status>>;

/// The largest response, in bytes: its length is a number of 32 bits. Nothing smaller bounds what all
/// control planes together have of a type, which can go in one response.
pub const LARGEST_RESPONSE: usize = u32::MAX as usize;

/// The flag that says that a message is not compressed, and the message's length.
const PREFIX: usize = 1 + size_of::<u32>();

#[derive(Debug)]
pub struct Frames<F> {
    messages: Messages,
    parts: VecDeque<Bytes>,
    ended: bool,
    form: PhantomData<fn() -> F>,
}

/// Returns the response whose body sends these messages.
pub fn response<F: Form>(messages: Messages) -> Response<Frames<F>> {
    let (parts, ended, form) = (VecDeque::new(), false, PhantomData);
    let mut response = Response::new(Frames { messages, parts, ended, form });
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, grpc);
    response
}

/// Returns a message as it is on the wire, in parts.
fn parts<F: Form>(message: &Message) -> Result<VecDeque<Bytes>, Status> {
    let envelope = F::envelope(message);
    let resources = message.resources.iter();
    let resources: Vec<_> =
        resources.flat_map(|(resource, generation)| F::pieces(resource, *generation)).collect();
    let length = envelope.len() + resources.iter().map(Bytes::len).sum::<usize>();
    let length = u32::try_from(length).map_err(|_| {
        let kind = message.kind.as_str();
        tracing::error!(
            r#type = kind,
            bytes = length,
            "cannot send all resources of a type at once: at most {LARGEST_RESPONSE} bytes"
        );
        Status::internal(format!("{kind} of {length} bytes: more than {LARGEST_RESPONSE}"))
    })?;
    let mut first = BytesMut::with_capacity(PREFIX + envelope.len());
    first.put_u8(0);
    first.put_u32(length);
    first.put_slice(&envelope);
    Ok([first.freeze()].into_iter().chain(resources).collect())
}

impl<F: Form> Body for Frames<F> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        loop {
            if let Some(part) = this.parts.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(part))));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            let next = ready!(this.messages.poll_recv(context));
            let status = match next.map(|next| next.and_then(|message| parts::<F>(&message))) {
                Some(Ok(parts)) => {
                    this.parts = parts;
                    continue;
                }
                Some(Err(status)) => status,
                None => Status::ok(""),
            };
            this.ended = true;
            let mut trailers = HeaderMap::new();
            let added = status.add_header(&mut trailers);
            return Poll::Ready(Some(added.map(|()| Frame::trailers(trailers))));
        }
    }
}
