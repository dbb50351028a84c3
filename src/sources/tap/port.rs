//! A serial port: opened for us alone, raw, with its lines. Bytes go through as they are: the kernel never
//! acts on XON and XOFF.

use rustix::io::Errno;
use serial2::{CharSize, FlowControl, Parity, SerialPort, Settings, StopBits};
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How a line speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Bits per second.
    pub baud: u32,
    /// 7 or 8.
    pub data_bits: u8,
    /// `Some(true)`: odd.
    pub odd: Option<bool>,
    /// Two stop bits.
    pub two_stops: bool,
}

impl Line {
    /// How long a byte takes.
    pub fn byte_time(self) -> Duration {
        let bits = 2 + u32::from(self.data_bits) + u32::from(self.odd.is_some()) + u32::from(self.two_stops);
        Duration::from_secs(1) * bits / self.baud.max(1)
    }
}

/// An open port.
pub struct Port(AsyncFd<SerialPort>);

impl Port {
    /// Opens a port for us alone. `hardware`: RTS and CTS are the kernel's to act on.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &str, line: Line, hardware: bool) -> io::Result<Port> {
        let port = SerialPort::open(path, |mut settings: Settings| {
            settings.set_raw();
            settings.set_baud_rate(line.baud)?;
            settings.set_char_size(if line.data_bits == 7 { CharSize::Bits7 } else { CharSize::Bits8 });
            settings.set_parity(match line.odd {
                None => Parity::None,
                Some(false) => Parity::Even,
                Some(true) => Parity::Odd,
            });
            settings.set_stop_bits(if line.two_stops { StopBits::Two } else { StopBits::One });
            settings.set_flow_control(if hardware { FlowControl::RtsCts } else { FlowControl::None });
            Ok(settings)
        })?;
        rustix::termios::ioctl_tiocexcl(&port)?;
        #[allow(deprecated)] // what took its place needs `unsafe`; a `SerialPort` owns its descriptor and keeps it
        Ok(Port(AsyncFd::new(port)?))
    }

    /// Some bytes. A port that gives none is gone.
    ///
    /// # Errors
    /// It is gone.
    pub async fn read(&self, piece: &mut [u8]) -> io::Result<usize> {
        let read = self.0.async_io(Interest::READABLE, |port| rustix::io::read(port, &mut *piece).map_err(Errno::into));
        match read.await? {
            0 => Err(io::Error::new(ErrorKind::UnexpectedEof, "the port is gone")),
            n => Ok(n),
        }
    }

    /// All of these bytes, as fast as the port takes them.
    ///
    /// # Errors
    /// It is gone.
    pub async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = self.0.async_io(Interest::WRITABLE, |port| rustix::io::write(port, bytes).map_err(Errno::into)).await?;
            bytes = bytes.get(n..).unwrap_or_default();
        }
        Ok(())
    }

    /// Whether the other side says that it is ready; `None` where the port has no such line.
    pub fn ready(&self) -> Option<bool> {
        self.0.get_ref().read_cts().ok()
    }

    /// Says that we are ready, or not. A port without lines cannot say it.
    pub fn say_ready(&self, ready: bool) {
        let port = self.0.get_ref();
        let _ = port.set_rts(ready).and_then(|()| port.set_dtr(ready));
    }

    /// Something that waits, for as long as that takes, until the line has taken everything.
    ///
    /// # Errors
    /// What the system says.
    pub fn drain(&self) -> io::Result<impl FnOnce() + Send + 'static> {
        let port = self.0.get_ref().try_clone()?;
        Ok(move || {
            let _ = rustix::termios::tcdrain(&port); // a printer that is off takes no more
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_takes_its_time() {
        let line = Line { baud: 9600, data_bits: 8, odd: None, two_stops: false };
        assert_eq!(line.byte_time(), Duration::from_secs(10) / 9600);
        assert_eq!(Line { odd: Some(true), two_stops: true, ..line }.byte_time(), Duration::from_secs(12) / 9600);
    }
}
