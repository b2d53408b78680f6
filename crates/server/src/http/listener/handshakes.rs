//! How a listening socket is closed without resetting anybody.

use std::io;

use tokio::net::TcpListener;

/// From now on the kernel drops the first packet of every connection. Clients send it again after a second (RFC 6298
/// §2), and are refused then; connections half set up are completed.
#[cfg(target_os = "linux")]
pub(super) fn let_none_begin(listener: &TcpListener) -> io::Result<()> {
    use socket2::{SockFilter, SockRef};

    // Classic BPF (Linux, Documentation/networking/filter.rst); a TCP socket's filter sees the TCP header first.
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_ANY_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    /// Where the flags are, and which is SYN (RFC 9293 §3.1). At a listening socket, only a first packet has it.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(JUMP_IF_ANY_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

/// Elsewhere there is no such filter.
#[cfg(not(target_os = "linux"))]
pub(super) fn let_none_begin(_: &TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
