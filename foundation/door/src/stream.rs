//! A stream of which some bytes were read already.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Whatever bytes travel on.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Wire for T {}

/// Reads `ahead` first, then the wire.
pub struct Stream {
    ahead: Bytes,
    wire: Box<dyn Wire>,
}

impl Stream {
    pub fn new(ahead: impl Into<Bytes>, wire: impl Wire) -> Self {
        Self { ahead: ahead.into(), wire: Box::new(wire) }
    }

    /// The first byte, left in the stream; `None` at its end.
    pub async fn first_byte(&mut self) -> io::Result<Option<u8>> {
        if self.ahead.is_empty() {
            let mut some = [0; 1024];
            let read = self.wire.read(&mut some).await?;
            self.ahead = Bytes::copy_from_slice(&some[..read]);
        }
        Ok(self.ahead.first().copied())
    }

    /// Reads until `end` has been seen, at most `limit` bytes, and returns everything up to
    /// and with it; what follows stays in the stream. `None`: the stream ended, or `end` did
    /// not come within `limit`; then all bytes are still in the stream.
    pub async fn until(&mut self, end: &[u8], limit: usize) -> io::Result<Option<Bytes>> {
        let mut seen = std::mem::take(&mut self.ahead).to_vec();
        loop {
            if let Some(at) = seen.windows(end.len()).position(|window| window == end) {
                let mut head = Bytes::from(seen);
                self.ahead = head.split_off(at + end.len());
                return Ok(Some(head));
            }
            let mut some = [0; 4096];
            let read = match seen.len() < limit {
                true => self.wire.read(&mut some).await?,
                false => 0,
            };
            if read == 0 {
                self.ahead = seen.into();
                return Ok(None);
            }
            seen.extend_from_slice(&some[..read]);
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.wire).poll_read(context, buffer);
        }
        let take = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead[..take]);
        self.ahead.advance(take);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_read_ahead_is_not_lost() {
        let mut stream = Stream::new("HEAD\r\n\r\nand the rest", tokio::io::empty());
        assert_eq!(stream.first_byte().await.unwrap(), Some(b'H'));
        assert_eq!(stream.until(b"\r\n\r\n", 100).await.unwrap().unwrap(), "HEAD\r\n\r\n");
        assert_eq!(stream.until(b"\r\n\r\n", 100).await.unwrap(), None);
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "and the rest");
        assert_eq!(stream.first_byte().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_head_has_a_bound() {
        let mut stream = Stream::new(vec![b'x'; 100_000], tokio::io::empty());
        assert_eq!(stream.until(b"\r\n\r\n", 16_384).await.unwrap(), None);
    }
}
