//! Access control lists, of which only this is asked: is there one?

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Does a list go beyond the mode's nine bits? A path that can't be asked has none.
pub fn is_present(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    let name = c"system.posix_acl_access";
    // SAFETY: both strings end in NUL and live through the call; with no room nothing is written.
    let length = unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) };
    length > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_files_have_none() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_present(dir.path()));
        assert!(!is_present(Path::new("/no/such/file")));
    }
}
