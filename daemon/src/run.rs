//! `wsgid run`, from start to end: takes the runtime directory, remembers what ran before, opens the
//! sockets, and then does errands, hears reports and keeps deadlines until it is told to stop.

use crate::cli::RunArguments;
use crate::configuration::{Privilege, SystemAccounts, identity, pending, state};
use crate::installation::{Installation, Missing};
use crate::sockets::directory::{Listening, Unusable};
use crate::sockets::reception::{self, Doorkeeper};
use crate::sockets::{RuntimeDirectory, attach, broker, control};
use crate::supervisor::household::Terms;
use crate::supervisor::launch::Premises;
use crate::supervisor::pool::Surroundings;
use crate::supervisor::worker::Report;
use crate::supervisor::{Errand, Household};
use crate::sys::descriptors::Limit;
use crate::{log, sys};
use sd_notify::NotifyState;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::future::pending as forever;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use wsgid_proto::control::Configure;

/// Errands and reports that may wait; who sends more waits too.
const QUEUE: usize = 256;

/// How often a script is looked at that did not import.
const GLANCE: Duration = Duration::from_secs(1);

/// Why the daemon does not start. Each names what to change.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Directory(#[from] Unusable),
    #[error(transparent)]
    Installation(#[from] Missing),
    #[error("the state directory {} can't be used: {error}", .path.display())]
    State { path: PathBuf, error: io::Error },
    #[error("{0}")]
    Accounts(#[from] crate::configuration::accounts::Unreadable),
    #[error("the system refuses what the daemon needs: {0}")]
    System(#[from] io::Error),
}

/// The daemon; returns when it has ended.
pub fn main(arguments: RunArguments) -> ExitCode {
    log::init(&arguments.log_level, !arguments.no_log_times);
    match start(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("wsgid can't start: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &RunArguments) -> Result<(), StartError> {
    sys::descriptors::reserve()?;
    sys::process::bury_children(); // of the program that this process ran before
    sys::process::has_run_out_of_memory(); // from here on
    let program = Program::of_this_process()?;
    let runtime_dir = std::path::absolute(&arguments.runtime_dir)?;
    let state_dir = std::path::absolute(&arguments.state_dir)?;
    std::env::set_current_dir("/")?;
    let mut directory = RuntimeDirectory::take(&runtime_dir)?;
    state::prepare(&state_dir).map_err(|error| StartError::State { path: state_dir.clone(), error })?;
    let installation = Installation::of_this_program()?;
    installation.launcher()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(daemon(arguments, &mut directory, state_dir, installation, program))
}

async fn daemon(
    arguments: &RunArguments,
    directory: &mut RuntimeDirectory,
    state_dir: PathBuf,
    installation: Installation,
    program: Program,
) -> Result<(), StartError> {
    let own_uid = nix::unistd::geteuid().as_raw();
    let (reports, reports_in) = mpsc::channel(QUEUE);
    let (errands, errands_in) = mpsc::channel(QUEUE);
    let (web_users, known_web_users) = watch::channel(HashSet::new());
    let (expected, known_expected) = watch::channel(HashSet::new());
    let premises = Premises {
        installation,
        sockets: directory.workers(),
        attach: directory.attach(),
        environment: std::env::vars_os().collect(),
        root: own_uid == 0,
        watch: arguments.watch,
        descriptors: program.limit,
    };
    let mut household = Household::new(Terms {
        surroundings: Surroundings { premises: Rc::new(premises), scores: Rc::default(), reports },
        privilege: privilege(arguments, own_uid)?,
        accounts: Box::new(SystemAccounts),
        state_directory: state_dir.clone(),
        web_users,
        expected,
        own_uid,
        started: Instant::now(),
        processors: std::thread::available_parallelism()?.get() as u32,
    });
    let signals = Signals::new()?;
    let control_socket = directory.listen(control::SOCKET, control::MODE)?;
    let broker_socket = directory.listen(broker::SOCKET, broker::MODE)?;
    let mut attach_sockets = vec![directory.listen(attach::SOCKET, attach::MODE)?];
    attach_sockets.extend(beyond_roots(directory, own_uid));
    household.expect(directory.take_survivors(), Instant::now());
    recall(&mut household, &state_dir, &directory.pending());
    let keeper = Doorkeeper::new(own_uid, known_web_users);
    let asked = errands.clone();
    let control_door = reception::receive(control_socket, keeper.clone(), move |visitor| {
        control::converse(visitor, asked.clone())
    });
    let mut doors = vec![tokio::spawn(control_door)];
    for socket in attach_sockets {
        let (attached, expected) = (errands.clone(), known_expected.clone());
        doors.push(tokio::spawn(reception::receive(socket, keeper.clone(), move |visitor| {
            attach::converse(visitor, attached.clone(), expected.clone())
        })));
    }
    let broker_door =
        reception::receive(broker_socket, keeper, move |visitor| broker::converse(visitor, errands.clone()));
    doors.push(tokio::spawn(broker_door));
    tracing::info!("wsgid {} is ready", env!("CARGO_PKG_VERSION"));
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    Daemon { household, errands: errands_in, reports: reports_in, signals, doors, program, leaving: false }
        .live()
        .await;
    Ok(())
}

/// Where workers with a `chroot` find the next daemon, if this one may have any.
fn beyond_roots(directory: &RuntimeDirectory, own_uid: u32) -> Option<Listening> {
    let listening = (own_uid == 0).then(|| directory.listen_beyond_roots(attach::SOCKET))?;
    let refused = |error: &io::Error| {
        tracing::warn!(
            "workers with a chroot can't be taken over: the abstract name of {} is not to be had: {error}",
            attach::SOCKET
        );
    };
    listening.inspect_err(refused).ok()
}

fn privilege(arguments: &RunArguments, own_uid: u32) -> Result<Privilege, StartError> {
    if own_uid == 0 && !arguments.as_self {
        return Ok(Privilege::Root { allow_root: arguments.allow_root });
    }
    Ok(Privilege::Own(identity::own(&SystemAccounts)?))
}

/// What ran before runs again. A configuration that an httpd has left since then wins.
fn recall(household: &mut Household, state_dir: &Path, pending_dir: &Path) {
    let remembered = remembered(state_dir);
    let left = pending::take(pending_dir);
    let news = !left.is_empty();
    let by_instance: BTreeMap<String, Configure> =
        remembered.into_iter().chain(left).map(|configure| (configure.instance.clone(), configure)).collect();
    for configure in by_instance.into_values() {
        household.configure(configure);
    }
    if news {
        household.remember();
    }
}

fn remembered(state_dir: &Path) -> Vec<Configure> {
    let directory = state_dir.display();
    match state::load(state_dir) {
        Ok(saved) => {
            if let Some(damage) = saved.damage {
                tracing::warn!(
                    "in {directory} the configurations of before are taken, since of the last {damage}"
                );
            }
            saved.configurations
        }
        Err(error) => {
            tracing::warn!("the remembered configurations in {directory} are of no use: {error}");
            Vec::new()
        }
    }
}

/// What this process runs, and where it began to.
struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    directory: PathBuf,
    /// How many descriptors it was allowed.
    limit: Limit,
}

impl Program {
    fn of_this_process() -> io::Result<Self> {
        let arguments = std::env::args_os().skip(1).collect();
        let (path, directory) = (std::env::current_exe()?, std::env::current_dir()?);
        Ok(Self { path, arguments, directory, limit: sys::descriptors::raise_limit()? })
    }

    /// Returns only if it can't.
    fn start_again(&self) -> io::Error {
        let raised = match sys::descriptors::exchange_limit(self.limit) {
            Ok(raised) => raised,
            Err(error) => return error,
        };
        // Between the two programs' handlers a second one would end the process.
        let handler = sys::process::ignore(nix::sys::signal::Signal::SIGHUP);
        let error = Command::new(&self.path).args(&self.arguments).current_dir(&self.directory).exec();
        let _ = handler.and_then(|handler| handler.restore());
        let _ = sys::descriptors::exchange_limit(raised); // as before; the soft one may go up to the hard
        error
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    leave: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            leave: signal(SignalKind::user_defined1())?,
        })
    }
}

struct Daemon {
    household: Household,
    errands: mpsc::Receiver<Errand>,
    reports: mpsc::Receiver<Report>,
    signals: Signals,
    doors: Vec<JoinHandle<()>>,
    program: Program,
    /// It ends as soon as nobody is there who has to end with it.
    leaving: bool,
}

impl Daemon {
    /// Until it is told to stop and everyone has gone.
    async fn live(mut self) {
        let mut stopping = false;
        let mut glance = tokio::time::interval(GLANCE);
        while !(stopping && self.household.is_deserted()) {
            if self.leaving && !stopping && !self.household.has_bound() {
                self.depart();
            }
            let deadline = self.household.deadline(Instant::now());
            let awaits_scripts = self.household.awaits_scripts();
            tokio::select! {
                Some(errand) = self.errands.recv() => self.household.run(errand, Instant::now()),
                Some(report) = self.reports.recv() => self.household.hear(report, Instant::now()),
                () = at(deadline) => self.household.tick(Instant::now()),
                () = tokio::task::yield_now(), if self.household.may_proceed(Instant::now()) => {
                    self.household.proceed(Instant::now());
                }
                _ = glance.tick(), if awaits_scripts => self.household.look_at_scripts(Instant::now()),
                _ = self.signals.hang_up.recv() => self.renew(stopping),
                _ = self.signals.leave.recv() => self.leave(stopping),
                _ = self.signals.terminate.recv() => self.stop(&mut stopping),
                _ = self.signals.interrupt.recv() => self.stop(&mut stopping),
            }
        }
        tracing::info!("wsgid has ended");
    }

    /// Becomes the program that is installed now. Workers notice that their daemon is gone, and come to the new
    /// one; if it can't be started, everything but templates stays as it is.
    fn renew(&mut self, stopping: bool) {
        if stopping {
            return;
        }
        tracing::info!("starting anew with the program as it is installed now");
        self.household.drop_templates();
        let error = self.program.start_again();
        tracing::error!("{} can't be started, so this one goes on: {error}", self.program.path.display());
    }

    /// Is about to end, and to leave the workers to the next daemon. Those that it can't take over end first.
    fn leave(&mut self, stopping: bool) {
        if stopping || self.leaving {
            return;
        }
        tracing::info!(
            "ending: workers go on until the next daemon takes them over, or the runtime directory is gone"
        );
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
        self.leaving = true;
        self.household.dismiss_bound(Instant::now());
    }

    /// Ends so that the next daemon finds everything as after a crash. That there will be none workers learn from the
    /// runtime directory, which a service manager then removes.
    fn depart(&mut self) -> ! {
        self.household.drop_templates();
        // Nothing is dropped: boards stay open, and sockets and records where they are.
        std::process::exit(0)
    }

    /// The first time in peace; asked again, nobody is waited for.
    fn stop(&mut self, stopping: &mut bool) {
        if std::mem::replace(stopping, true) {
            tracing::warn!("told to stop again: workers are killed");
            return self.household.kill_all();
        }
        tracing::info!("stopping: workers finish what they have");
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
        self.doors.iter().for_each(JoinHandle::abort); // their sockets go with them
        self.household.stop(Instant::now());
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => forever().await,
    }
}
