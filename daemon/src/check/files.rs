//! What stops a user on the way to a file, as a finding.

use super::Case;
use super::dump::Place;
use super::finding::{Finding, Grade};
use super::way::{End, Need, Walker, way};
use std::path::Path;

/// How to let a user pass, as an administrator would.
pub fn mend_of(closed: &Path, who: &Walker) -> String {
    format!(
        "Let user {} pass {}, for example: setfacl -m u:{}:x {}; or move the application out of it.",
        who.name,
        closed.display(),
        who.name,
        closed.display()
    )
}

/// A finding if the way to a path ends before it.
pub fn way_finding(
    case: &Case<'_>,
    (place, grade): (&Place, Grade),
    begun: &str,
    who: &Walker,
    path: &Path,
    need: Need,
) -> Option<Finding> {
    let shown = path.display();
    let (what, mend) = match way(case.probe, who, path, need) {
        End::There(..) | End::Unsure => return None,
        End::Unseen(at) => {
            case.not_seen(at);
            return None;
        }
        End::Closed(at, seen) => (
            format!(
                "{begun} {shown}: user {} is denied at {} (mode {:04o}).",
                who.name,
                at.display(),
                seen.mode
            ),
            mend_of(&at, who),
        ),
        End::Missing(at) => (
            format!("{begun} {shown}: there is no {}.", at.display()),
            "Correct the path, or put it there.".into(),
        ),
        End::Dangling { link, to } => (
            format!("{begun} {shown}: {} leads to {}, which is not there.", link.display(), to.display()),
            "Correct the link.".into(),
        ),
    };
    Some(Finding::new(grade, place, what, mend))
}
