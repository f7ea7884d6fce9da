//! The request's body on its way to a worker. What fits is read before a worker is claimed, so that a
//! slow client holds a thread of httpd's and none of Python's: the first bytes travel with the head, the
//! rest waits in a spool until the worker asks. A body that is too large for that streams.

use crate::door::{BodyPart, Door};
use crate::fault::Fault;
use crate::spool::{Limits, Spool};
use bytes::{Bytes, BytesMut};
use wsgid_proto::bounds;
use wsgid_proto::options::ProcessGroup;
use wsgid_proto::response::Level;

/// The most that is read from the client at once.
const PART: usize = 64 << 10;

/// A request's body.
#[derive(Debug, Default)]
pub struct Body {
    spool: Spool,
    rest: Rest,
}

/// What there is behind what has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Rest {
    /// Nothing.
    #[default]
    End,
    /// More may come.
    Open,
    /// The client broke off; what is missing is worth this status.
    Torn(i32),
}

impl Body {
    /// Reads ahead as far as the group's options say. `length` is `None` where it is not known. A client
    /// that breaks off has its say first: the application may have use for what has come.
    pub fn read_ahead<D: Door + ?Sized>(
        length: Option<u64>,
        group: &ProcessGroup,
        door: &mut D,
    ) -> Result<Self, Fault> {
        if length == Some(0) {
            return Ok(Self::default());
        }
        let limits = Limits { memory: group.request_buffer_size, file: group.request_spool_size };
        let mut body = Self { spool: Spool::new(limits), rest: Rest::Open };
        let most = limits.memory.max(limits.file);
        if limits.memory > 0 && length.is_none_or(|length| length <= most) {
            body.fill(length.unwrap_or(PART as u64), most, door)?;
        }
        Ok(body)
    }

    /// A body of which nothing has been read.
    pub fn streaming() -> Self {
        Self { rest: Rest::Open, ..Self::default() }
    }

    /// Reads full parts: a client that sends byte by byte costs no more memory than another.
    fn fill<D: Door + ?Sized>(&mut self, expected: u64, most: u64, door: &mut D) -> Result<(), Fault> {
        let mut left = most;
        let mut room = expected.min(PART as u64) as usize;
        while self.rest == Rest::Open && left > 0 && !self.spool.is_full() {
            let mut buffer = BytesMut::zeroed(room.min(left.min(PART as u64) as usize));
            let mut filled = 0;
            while self.rest == Rest::Open && filled < buffer.len() {
                filled += self.read_part(&mut buffer[filled..], door)?;
            }
            buffer.truncate(filled);
            left -= filled as u64;
            room = PART;
            if let Some(error) = self.spool.push(buffer.freeze()) {
                let line = format!("The request's body streams, since it can't be spooled: {error}");
                door.log(Level::Warning, line.as_bytes(), None);
            }
        }
        Ok(())
    }

    fn read_part<D: Door + ?Sized>(&mut self, buffer: &mut [u8], door: &mut D) -> Result<usize, Fault> {
        match door.read_body(buffer) {
            BodyPart::More(count) => Ok(count),
            BodyPart::Last(count) => {
                self.rest = Rest::End;
                Ok(count)
            }
            BodyPart::Torn(status) => {
                self.rest = Rest::Torn(status);
                Ok(0)
            }
            BodyPart::Failed(answer) => Err(Fault::BodyFailed(answer)),
        }
    }

    /// What travels with the head, and whether that is all.
    pub fn first(&mut self) -> Result<(Bytes, bool), Fault> {
        let first = self.spool.pop(bounds::FIRST_BODY).map_err(Fault::Spool)?;
        Ok((first, self.spool.is_empty() && self.rest == Rest::End))
    }

    /// The next part, from the spool or else from the client.
    pub fn read<D: Door + ?Sized>(&mut self, buffer: &mut [u8], door: &mut D) -> Result<BodyPart, Fault> {
        if !self.spool.is_empty() {
            let count = self.spool.pop_into(buffer).map_err(Fault::Spool)?;
            let last = self.spool.is_empty() && self.rest == Rest::End;
            return Ok(if last { BodyPart::Last(count) } else { BodyPart::More(count) });
        }
        Ok(match self.rest {
            Rest::Open => door.read_body(buffer),
            Rest::End => BodyPart::Last(0),
            Rest::Torn(status) => BodyPart::Torn(status),
        })
    }

    /// What the client has sent meanwhile, without waiting: [`BodyPart::More`] of nothing if there is nothing, or if
    /// [`Body::read`] need not wait.
    pub fn at_hand<D: Door + ?Sized>(&self, buffer: &mut [u8], door: &mut D) -> BodyPart {
        let streams = self.spool.is_empty() && self.rest == Rest::Open;
        if streams { door.body_at_hand(buffer) } else { BodyPart::More(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::tests::Notes;

    fn group(memory: u64, file: u64) -> ProcessGroup {
        ProcessGroup { request_buffer_size: memory, request_spool_size: file, ..ProcessGroup::named("site") }
    }

    fn ahead(parts: &[BodyPart], length: Option<u64>, group: &ProcessGroup) -> (Result<Body, Fault>, Notes) {
        let mut door = Notes { body: parts.to_vec(), ..Default::default() };
        (Body::read_ahead(length, group, &mut door), door)
    }

    fn rest(body: &mut Body, door: &mut Notes) -> (usize, BodyPart) {
        let (mut buffer, mut bytes) = (vec![0; 100_000], 0);
        loop {
            match body.read(&mut buffer, door).unwrap() {
                BodyPart::More(count) => bytes += count,
                end => return (bytes, end),
            }
        }
    }

    #[test]
    fn a_small_body_goes_with_the_head() {
        let (body, _) = ahead(&[BodyPart::More(3), BodyPart::Last(2)], Some(5), &group(100, 0));
        let mut body = body.unwrap();
        assert_eq!(body.first().unwrap(), (Bytes::from_static(&[0; 5]), true));
        let (body, door) = ahead(&[], Some(0), &group(100, 0));
        assert_eq!(body.unwrap().first().unwrap(), (Bytes::new(), true));
        assert!(door.said.is_empty());
    }

    #[test]
    fn a_larger_one_is_read_before_and_handed_over_when_wanted() {
        let parts = vec![BodyPart::More(PART); 5].into_iter().chain([BodyPart::Last(1)]).collect::<Vec<_>>();
        for limits in [group(PART as u64, 1 << 20), group(1 << 20, 0)] {
            let (body, mut door) = ahead(&parts, None, &limits);
            let mut body = body.unwrap();
            assert_eq!(door.said.len(), 6);
            assert_eq!(body.first().unwrap().0.len(), bounds::FIRST_BODY);
            assert_eq!(rest(&mut body, &mut door), (5 * PART - bounds::FIRST_BODY, BodyPart::Last(1)));
        }
    }

    #[test]
    fn what_is_too_large_streams() {
        let (body, door) = ahead(&[], Some(101), &group(10, 100));
        assert!(body.unwrap().first().unwrap().0.is_empty() && door.said.is_empty());
        let (body, door) = ahead(&[], Some(1), &group(0, 100));
        assert!(!body.unwrap().first().unwrap().1 && door.said.is_empty());
        let (body, mut door) =
            ahead(&[BodyPart::More(60), BodyPart::More(40), BodyPart::Last(9)], None, &group(10, 100));
        let mut body = body.unwrap();
        assert_eq!((door.said.len(), body.first().unwrap().0.len()), (2, 100));
        assert_eq!(rest(&mut body, &mut door), (0, BodyPart::Last(9)));
    }

    #[test]
    fn a_torn_body_ends_where_it_is_torn() {
        let (body, mut door) = ahead(&[BodyPart::More(60), BodyPart::Torn(400)], Some(99), &group(100, 100));
        let mut body = body.unwrap();
        assert_eq!(body.first().unwrap(), (Bytes::from_static(&[0; 60]), false));
        assert_eq!(rest(&mut body, &mut door), (0, BodyPart::Torn(400)));
        assert!(matches!(
            ahead(&[BodyPart::Failed(408)], Some(9), &group(100, 100)).0,
            Err(Fault::BodyFailed(408))
        ));
    }
}
