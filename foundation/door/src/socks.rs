//! SOCKS5 (RFC 1928): `CONNECT` without authentication, or with any user and password
//! (RFC 1929), for a client that insists.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::stream::Stream;

const VERSION: u8 = 5;

/// RFC 1928 §6.
#[derive(Clone, Copy)]
pub enum Reply {
    Succeeded = 0,
    Refused = 2,
    Unreachable = 4,
    UnknownCommand = 7,
    UnknownAddress = 8,
}

/// Agrees on a method and reads the request.
///
/// # Errors
/// `InvalidData` when the client does not speak SOCKS5 or asks for more than `CONNECT`; it
/// has its answer then.
pub async fn greet(stream: &mut Stream) -> io::Result<(String, u16)> {
    let [version, count] = read(stream).await?;
    if version != VERSION {
        return Err(wrong("not SOCKS5"));
    }
    let mut methods = vec![0; count.into()];
    stream.read_exact(&mut methods).await?;
    if methods.contains(&0) {
        stream.write_all(&[VERSION, 0]).await?;
    } else if methods.contains(&2) {
        stream.write_all(&[VERSION, 2]).await?;
        let [_, length] = read(stream).await?;
        skip(stream, length).await?;
        let [length] = read(stream).await?;
        skip(stream, length).await?;
        stream.write_all(&[1, 0]).await?;
    } else {
        stream.write_all(&[VERSION, 0xff]).await?;
        return Err(wrong("no method of authentication that is known"));
    }
    let [_, command, _, kind] = read(stream).await?;
    let host = match kind {
        1 => Ipv4Addr::from(read::<4>(stream).await?).to_string(),
        4 => Ipv6Addr::from(read::<16>(stream).await?).to_string(),
        3 => {
            let [length] = read(stream).await?;
            let mut name = vec![0; length.into()];
            stream.read_exact(&mut name).await?;
            String::from_utf8(name).map_err(|_| wrong("a host name that is not text"))?
        }
        _ => {
            reply(stream, Reply::UnknownAddress).await?;
            return Err(wrong("an address of an unknown kind"));
        }
    };
    let port = u16::from_be_bytes(read(stream).await?);
    if command != 1 {
        reply(stream, Reply::UnknownCommand).await?;
        return Err(wrong("only CONNECT is supported"));
    }
    Ok((host.to_ascii_lowercase(), port))
}

pub async fn reply(stream: &mut Stream, reply: Reply) -> io::Result<()> {
    stream.write_all(&[VERSION, reply as u8, 0, 1, 0, 0, 0, 0, 0, 0]).await
}

async fn read<const N: usize>(stream: &mut Stream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn skip(stream: &mut Stream, length: u8) -> io::Result<()> {
    stream.read_exact(&mut vec![0; length.into()]).await.map(drop)
}

fn wrong(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
