//! A stream whose other side has to take what is written to it.
//!
//! Owns the patience with a client that does not read its answer. It never looks at what is written.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What has to be taken before patience starts anew: otherwise a byte now and then would hold us for ever.
const PROGRESS_BYTES: usize = 64 << 10;

/// A stream that fails with `TimedOut` when writing makes no progress.
#[derive(Debug)]
pub(crate) struct WriteTimeout<S> {
    stream: S,
    patience: Duration,
    /// Runs while the other side owes us progress.
    deadline: Option<Pin<Box<Sleep>>>,
    taken: usize,
}

impl<S> WriteTimeout<S> {
    pub(crate) fn new(stream: S, patience: Duration) -> Self {
        WriteTimeout { stream, patience, deadline: None, taken: 0 }
    }

    fn watch(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let patience = self.patience;
        match wrote {
            Poll::Pending => {
                let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(patience)));
                ready!(deadline.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Ready(Ok(bytes)) if self.deadline.is_some() => {
                self.taken += bytes;
                if self.taken >= PROGRESS_BYTES {
                    self.content();
                }
                wrote
            }
            Poll::Ready(_) => wrote,
        }
    }

    fn content(&mut self) {
        self.deadline = None;
        self.taken = 0;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Reached when everything before was written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.content();
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn who_never_reads_is_given_up() {
        let (ours, _theirs) = duplex(1000);
        let started = Instant::now();
        let error = WriteTimeout::new(ours, PATIENCE).write_all(&[0; 1001]).await.unwrap_err();
        assert_eq!((error.kind(), started.elapsed().as_secs()), (io::ErrorKind::TimedOut, 30));
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_a_byte_now_and_then_is_given_up() {
        let (ours, mut theirs) = duplex(1000);
        let slow = tokio::spawn(async move {
            while theirs.read_u8().await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let error = WriteTimeout::new(ours, PATIENCE).write_all(&[0; 2000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        slow.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_but_steadily_gets_everything() {
        let (ours, mut theirs) = duplex(64 << 10);
        let reader = tokio::spawn(async move {
            let (mut buffer, mut all) = (vec![0; 64 << 10], 0);
            loop {
                sleep(Duration::from_secs(20)).await;
                match theirs.read(&mut buffer).await.unwrap() {
                    0 => return all,
                    bytes => all += bytes,
                }
            }
        });
        let mut ours = WriteTimeout::new(ours, PATIENCE);
        ours.write_all(&vec![0; 1 << 20]).await.unwrap();
        ours.flush().await.unwrap();
        ours.shutdown().await.unwrap();
        drop(ours);
        assert_eq!(reader.await.unwrap(), 1 << 20);
    }
}
