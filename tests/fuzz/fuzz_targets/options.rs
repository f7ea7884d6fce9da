//! Options of `WSGIDaemonProcess` from any bytes: a group comes out only without an error, each of its
//! values within bounds, and what is wrong with one option is said whatever stands beside it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wsgid_fuzz::input::Input;
use wsgid_proto::bounds;
use wsgid_proto::options::{Complaint, ProcessGroup, RULES, overlay, parse};

fuzz_target!(|data: &[u8]| {
    let mut input = Input::of(data);
    let mut options = Vec::new();
    while !input.is_empty() {
        let rule = RULES.get(usize::from(input.number()));
        let key = match rule {
            Some(rule) => rule.name.to_string(),
            None => String::from_utf8_lossy(input.bytes()).into_owned(),
        };
        options.push((key, input.bytes()));
    }
    let (group, complaints) = parse("site", &options);
    let errors = errors(complaints);
    assert_eq!(group.is_some(), errors.is_empty());
    if let Some(group) = &group {
        check(group);
        let mut own = group.clone();
        overlay(&mut own, &options);
        check(&own);
    }

    let alone = options.iter().flat_map(|option| self::errors(parse("site", std::slice::from_ref(option)).1));
    let together = errors.into_iter().filter(|error| !matches!(error, Complaint::Contradiction(..)));
    assert!(alone.eq(together));
});

/// Those that stop the configuration; every complaint is a sentence.
fn errors(complaints: Vec<Complaint>) -> Vec<Complaint> {
    assert!(complaints.iter().all(|complaint| complaint.to_string().ends_with('.')));
    complaints.into_iter().filter(Complaint::is_error).collect()
}

fn check(group: &ProcessGroup) {
    assert!((1..=bounds::PROCESSES).contains(&group.processes));
    assert!(group.threads <= bounds::THREADS);
    assert!(group.umask.is_none_or(|mask| mask <= 0o777));
    assert!(group.switch_interval.is_none_or(|seconds| seconds.is_finite() && seconds > 0.0));
    assert!(group.python_optimize <= 2);
    assert!((-20..=19).contains(&group.cpu_priority));
    assert!((1..=65_535).contains(&group.listen_backlog));
    let absolute = [&group.home, &group.chroot].into_iter().flatten();
    assert!(absolute.chain(&group.reload_on).chain(&group.env_files).all(|path| path.starts_with(b"/")));
    let paths = [&group.home, &group.chroot, &group.python_home, &group.python_eggs].into_iter().flatten();
    assert!(!paths.chain(&group.python_path).any(|path| path.contains(&0)));
    assert!(group.processes_min.is_none_or(|least| least <= group.processes));
    assert!(
        group.env.iter().all(|(name, value)| !name.is_empty() && !name.contains('=') && !value.contains(&0))
    );
    let names = [&group.user, &group.group, &group.lang, &group.locale, &group.python_hash_seed];
    let mut words = names.into_iter().flatten().chain(&group.python_warnings);
    assert!(words.all(|name| !name.is_empty() && !name.contains('\0')));
    let seconds = [group.shutdown_timeout, group.connect_timeout, group.socket_timeout, group.queue_timeout];
    assert!(seconds.iter().all(|&seconds| i32::try_from(seconds).is_ok()));
}
