//! What a listener does with streams: echo, reset, perf.
use std::io;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::{Stream, StreamProtocol};
use tokio::sync::mpsc;

use crate::{changes, node::Node, streams::Served};

pub const ECHO: StreamProtocol = StreamProtocol::new("/echo/1.0.0");
pub const RESET: StreamProtocol = StreamProtocol::new("/interop/reset/1.0.0");
pub const PERF: StreamProtocol = StreamProtocol::new("/perf/1.0.0");
const CHUNK: usize = 1 << 18;

async fn echo_all(stream: &mut Stream) -> io::Result<()> {
    let mut buffer = vec![0u8; CHUNK];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            println!("HALF-CLOSED");
            return stream.close().await;
        }
        stream.write_all(&buffer[..count]).await?;
        stream.flush().await?;
    }
}

async fn serve_echo(mut stream: Stream) {
    if let Err(error) = echo_all(&mut stream).await {
        println!("RESET {error}");
    }
}

async fn serve_reset(mut stream: Stream) {
    let mut one = [0u8; 1];
    let _ = stream.read(&mut one).await;
    drop(stream); // without a close: that resets it, though not over QUIC
}

pub async fn send_zeros(stream: &mut Stream, mut left: usize) -> io::Result<()> {
    let chunk = vec![0u8; CHUNK];
    while left > 0 {
        let count = left.min(CHUNK);
        stream.write_all(&chunk[..count]).await?;
        left -= count;
    }
    Ok(())
}

/// How many bytes came before the end.
pub async fn drain(stream: &mut Stream) -> io::Result<usize> {
    let mut buffer = vec![0u8; CHUNK];
    let mut total = 0;
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(total),
            count => total += count,
        }
    }
}

async fn serve_perf(mut stream: Stream) -> io::Result<()> {
    let mut head = [0u8; 8];
    stream.read_exact(&mut head).await?;
    drain(&mut stream).await?;
    send_zeros(&mut stream, u64::from_be_bytes(head) as usize).await?;
    stream.close().await
}

pub async fn serve(node: Node, served: Served, mut arrivals: mpsc::UnboundedReceiver<(StreamProtocol, Stream)>) {
    while let Some((protocol, stream)) = arrivals.recv().await {
        if protocol == ECHO || protocol == changes::LATER {
            tokio::spawn(serve_echo(stream));
        } else if protocol == RESET {
            tokio::spawn(serve_reset(stream));
        } else if protocol == changes::NEWS {
            tokio::spawn(changes::serve_news(served.clone(), stream));
        } else if protocol == changes::LEAVE {
            tokio::spawn(changes::serve_leave(node.clone(), stream));
        } else {
            tokio::spawn(serve_perf(stream));
        }
    }
}
