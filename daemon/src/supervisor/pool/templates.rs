//! A pool whose workers are copies of a template: which one that is.

use super::super::launch::LaunchError;
use super::super::roster::STARTUP;
use super::super::template::{Contents, Template};
use super::Pool;
use std::sync::Arc;
use std::time::Duration;

impl Pool {
    /// A service has one worker, and a developer's worker watches what it has imported itself.
    pub(super) fn has_template(&self) -> bool {
        let options = &self.group.options;
        options.preload && !options.is_service() && !self.surroundings.premises.watch
    }

    /// Sees to it that the template is one that has what the next worker is to have. True if it is a new one.
    pub(super) fn renew_template(&mut self) -> Result<bool, LaunchError> {
        let contents = Contents {
            generation: self.roster.generation(),
            scripts: self.scripts.clone(),
            identity: self.group.identity.clone(),
            server: self.group.server.clone(),
        };
        if self.template.as_ref().is_some_and(|template| template.has(&contents)) {
            return Ok(false);
        }
        self.template = None;
        let (premises, title) = (&self.surroundings.premises, self.group.title());
        let launched =
            premises.launch_template(&self.group, self.place(0, 0), self.board.file(), self.scores())?;
        let patience = match self.group.options.startup_timeout {
            0 => STARTUP,
            seconds => Duration::from_secs(seconds.into()),
        };
        let template = Template::attend(launched, contents, title, patience)?;
        tracing::info!(group = %title, pid = template.pid(), "starting template");
        self.template = Some(Arc::new(template));
        Ok(true)
    }

    /// For a next template, of this daemon's or of the next version of it.
    pub fn drop_template(&mut self) {
        self.template = None;
    }
}
