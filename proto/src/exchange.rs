//! Which frame may follow which. Both ends of a connection feed every frame they send or receive
//! through one [`Exchange`] each; what it does not allow ends the connection.
//!
//! ```text
//! shim   → worker   RequestHead                                               once, first
//! worker → shim     BodyWanted | Ask | Log | ResponseHead | Chunk | File | End | Abort
//!                   one File at most, and no Chunk behind it
//! shim   → worker   BodyChunk | BodyLast | BodyError                          only after BodyWanted
//! shim   → worker   Answer                                                    only after Ask
//! ```
//!
//! The worker pulls: whenever a body part or an answer is due only the shim may write, at all other times
//! only the worker. So neither can wait for the other with both buffers full.
//!
//! A head that names a hook has no body and no response:
//!
//! ```text
//! worker → shim     Ask | Log | Verdict | Abort
//! ```

use crate::frame::Kind;

/// How far the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No head has been sent to the worker.
    Idle,
    /// The worker has the head and has not begun to answer.
    Delivered,
    /// The worker has the head of a hook and has not decided.
    Judging,
    /// The response's head is out.
    Answering,
    /// The file that is, or ends, its body is out.
    Filed,
    /// End, Verdict or Abort: the connection may serve another request after the first two.
    Finished,
}

/// How far the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// There is more, and nobody asked.
    Resting,
    /// A part is due.
    Wanted,
    /// The last part, or an error, has been sent.
    Spent,
}

/// A frame came out of turn.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("{kind:?} out of turn: the exchange is {phase:?} and its body {body}")]
pub struct OutOfTurn {
    kind: Kind,
    phase: Phase,
    body: &'static str,
}

/// One request and its answer on one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    phase: Phase,
    body: Body,
    /// An answer is due.
    asked: bool,
}

impl Default for Exchange {
    fn default() -> Self {
        Self { phase: Phase::Idle, body: Body::Resting, asked: false }
    }
}

impl Exchange {
    /// How far the answer is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Has the whole body been handed over?
    pub fn body_spent(&self) -> bool {
        self.body == Body::Spent
    }

    /// The head goes over, and with it the whole body if `body_complete`.
    pub fn head(&mut self, body_complete: bool) -> Result<(), OutOfTurn> {
        if self.phase != Phase::Idle {
            return Err(self.out_of_turn(Kind::RequestHead));
        }
        self.phase = Phase::Delivered;
        self.body = if body_complete { Body::Spent } else { Body::Resting };
        Ok(())
    }

    /// The head of a hook goes over: there is no body.
    pub fn hook(&mut self) -> Result<(), OutOfTurn> {
        self.head(true)?;
        self.phase = Phase::Judging;
        Ok(())
    }

    /// Any frame after the head, from either side.
    pub fn step(&mut self, kind: Kind) -> Result<(), OutOfTurn> {
        let open = !matches!(self.phase, Phase::Idle | Phase::Finished);
        let workers_turn = open && self.body != Body::Wanted && !self.asked;
        match kind {
            Kind::Answer if open && self.asked => self.asked = false,
            Kind::Ask if workers_turn => self.asked = true,
            Kind::Verdict if workers_turn && self.phase == Phase::Judging => self.phase = Phase::Finished,
            Kind::BodyChunk if open && self.body == Body::Wanted => self.body = Body::Resting,
            Kind::BodyLast | Kind::BodyError if open && self.body == Body::Wanted => self.body = Body::Spent,
            Kind::BodyWanted if workers_turn && self.body == Body::Resting => self.body = Body::Wanted,
            Kind::Log if workers_turn => {}
            Kind::ResponseHead if workers_turn && self.phase == Phase::Delivered => {
                self.phase = Phase::Answering
            }
            Kind::Chunk if workers_turn && self.phase == Phase::Answering => {}
            Kind::File if workers_turn && self.phase == Phase::Answering => self.phase = Phase::Filed,
            Kind::End if workers_turn && matches!(self.phase, Phase::Answering | Phase::Filed) => {
                self.phase = Phase::Finished
            }
            Kind::Abort if workers_turn => self.phase = Phase::Finished,
            _ => return Err(self.out_of_turn(kind)),
        }
        Ok(())
    }

    fn out_of_turn(&self, kind: Kind) -> OutOfTurn {
        let body = match self.body {
            Body::Resting => "resting",
            Body::Wanted => "wanted",
            Body::Spent => "spent",
        };
        let body = if self.asked { "waits for an answer" } else { body };
        OutOfTurn { kind, phase: self.phase, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::*;

    fn after(frames: &[Kind]) -> Result<Exchange, OutOfTurn> {
        let mut exchange = Exchange::default();
        exchange.head(false)?;
        frames.iter().try_for_each(|&kind| exchange.step(kind))?;
        Ok(exchange)
    }

    #[test]
    fn a_whole_exchange_is_in_turn() {
        let done = after(&[
            Log,
            BodyWanted,
            BodyChunk,
            ResponseHead,
            Chunk,
            BodyWanted,
            BodyLast,
            Log,
            Chunk,
            File,
            End,
        ]);
        assert_eq!(done.unwrap().phase(), Phase::Finished);
    }

    #[test]
    fn an_answer_needs_no_body() {
        assert!(after(&[ResponseHead, End]).is_ok());
        assert!(after(&[Abort]).is_ok());
        assert!(after(&[ResponseHead, Chunk, Abort]).is_ok());
    }

    #[test]
    fn frames_out_of_turn_are_refused() {
        for frames in [
            &[Chunk][..],
            &[End],
            &[File],
            &[BodyChunk],
            &[ResponseHead, ResponseHead],
            &[ResponseHead, File, File],
            &[ResponseHead, File, Chunk],
            &[ResponseHead, End, Chunk],
            &[ResponseHead, End, Log],
            &[Abort, Abort],
            &[BodyWanted, BodyWanted],
            &[BodyWanted, Chunk],
            &[BodyWanted, Abort],
            &[BodyWanted, BodyLast, BodyWanted],
            &[BodyWanted, BodyError, BodyWanted],
            &[BodyWanted, Ask],
            &[BodyWanted, Answer],
            &[Ask, Ask],
            &[Ask, Chunk],
            &[Ask, BodyChunk],
            &[Answer],
            &[Ask, Answer, Answer],
            &[Verdict],
            &[ResponseHead, Verdict],
            &[RequestHead],
            &[Configure],
        ] {
            assert!(after(frames).is_err(), "{frames:?}");
        }
    }

    #[test]
    fn a_question_is_answered_wherever_the_worker_has_its_turn() {
        assert!(
            after(&[Ask, Answer, BodyWanted, BodyLast, Ask, Answer, ResponseHead, Ask, Answer, End]).is_ok()
        );
    }

    #[test]
    fn a_hook_ends_with_its_verdict_or_none() {
        let judged = |frames: &[Kind]| {
            let mut exchange = Exchange::default();
            exchange.hook()?;
            frames.iter().try_for_each(|&kind| exchange.step(kind)).map(|()| exchange.phase())
        };
        assert_eq!(judged(&[Log, Ask, Answer, Log, Verdict]), Ok(Phase::Finished));
        assert_eq!(judged(&[Ask, Answer, Abort]), Ok(Phase::Finished));
        for frames in [
            &[ResponseHead][..],
            &[End],
            &[Chunk],
            &[File],
            &[BodyWanted],
            &[Ask, Verdict],
            &[Verdict, Verdict],
        ] {
            assert!(judged(frames).is_err(), "{frames:?}");
        }
    }

    #[test]
    fn a_complete_body_is_never_wanted() {
        let mut exchange = Exchange::default();
        exchange.head(true).unwrap();
        assert!(exchange.step(BodyWanted).is_err());
        assert!(exchange.head(true).is_err());
    }

    #[test]
    fn never_may_both_write() {
        // Walk every reachable state: the frames each side may send next never overlap.
        let all: Vec<Kind> = (0..=255).filter_map(Kind::from_number).collect();
        let shims = [BodyChunk, BodyLast, BodyError, Answer];
        let mut hook = Exchange::default();
        hook.hook().unwrap();
        let mut seen = vec![after(&[]).unwrap(), hook];
        let mut at = 0;
        while at < seen.len() {
            let state = seen[at].clone();
            let next: Vec<Kind> = all.iter().copied().filter(|&k| state.clone().step(k).is_ok()).collect();
            let shim = next.iter().filter(|k| shims.contains(k)).count();
            assert!(shim == 0 || shim == next.len(), "{state:?} allows {next:?}");
            for kind in next {
                let mut new = state.clone();
                new.step(kind).unwrap();
                if !seen.contains(&new) {
                    seen.push(new);
                }
            }
            at += 1;
        }
        assert!(seen.len() >= 12);
    }
}
