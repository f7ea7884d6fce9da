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

    /// The list that setfacl(1) makes of `u:0:x` on a directory of mode 0700: tag, permissions and id of each
    /// entry, behind the version.
    const LIST: [(u16, u16, u32); 5] =
        [(0x01, 7, u32::MAX), (0x02, 1, 0), (0x04, 0, u32::MAX), (0x10, 1, u32::MAX), (0x20, 0, u32::MAX)];

    #[test]
    fn a_list_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let mut value = 2_u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in LIST {
            value.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
            value.extend(id.to_le_bytes());
        }
        let path = CString::new(dir.path().as_os_str().as_bytes()).unwrap();
        let name = c"system.posix_acl_access".as_ptr();
        // SAFETY: the strings end in NUL, and the value has the length that is said.
        let done = unsafe { libc::setxattr(path.as_ptr(), name, value.as_ptr().cast(), value.len(), 0) };
        match std::io::Error::last_os_error().raw_os_error() {
            Some(libc::EOPNOTSUPP) if done != 0 => eprintln!("not run: this file system has no such lists"),
            error => assert!(done == 0 && is_present(dir.path()), "{error:?}"),
        }
    }

    #[test]
    fn usual_files_have_none() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_present(dir.path()));
        assert!(!is_present(Path::new("/no/such/file")));
    }
}
