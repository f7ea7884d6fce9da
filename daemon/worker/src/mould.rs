//! An environ to be copied: most requests name the same variables as one before them, and the server
//! says the same of itself every time. What is new is filled in.
//!
//! A mould holds no value of the client's, and none that has ever changed.

use crate::environ::{is_clients, string};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// A value that is longer is not kept.
const KEPT_BYTES: usize = 512;

/// The variables of requests of one shape.
pub(crate) struct Mould {
    shape: Shape,
    variables: Vec<Variable>,
    dict: Py<PyDict>,
}

struct Variable {
    name: Box<[u8]>,
    key: Py<PyString>,
    /// As it has always been; `None` if it changes.
    value: Option<Box<[u8]>>,
}

/// Which names in which order, in short: different names may have the same shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape(u64);

impl Shape {
    /// Of no name at all.
    pub(crate) const EMPTY: Self = Self(0);

    /// With one name more.
    #[inline]
    pub(crate) fn with(self, name: &[u8]) -> Self {
        let ends = name.first().zip(name.last()).map_or(0, |(a, b)| u64::from(*a) << 8 | u64::from(*b));
        let new = self.0.rotate_left(5) ^ ends ^ (name.len() as u64) << 16;
        Self(new.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

impl Mould {
    /// From an environ in which each of these variables was set to its value, and nothing else was set
    /// under one of their names. `fleeting` are the keys that are set anew for each request.
    pub(crate) fn of<'py>(
        shape: Shape,
        environ: &Bound<'py, PyDict>,
        variables: Vec<(Bound<'py, PyString>, &[u8], &[u8])>,
        fleeting: &[&Bound<'py, PyString>],
    ) -> PyResult<Self> {
        let py = environ.py();
        let dict = environ.copy()?;
        for key in fleeting {
            dict.set_item(key, py.None())?;
        }
        let mut kept = Vec::with_capacity(variables.len());
        for (key, name, value) in variables {
            let value = (!is_clients(name) && value.len() <= KEPT_BYTES).then(|| value.into());
            if value.is_none() {
                dict.set_item(&key, py.None())?;
            }
            kept.push(Variable { name: name.into(), key: key.unbind(), value });
        }
        Ok(Self { shape, variables: kept, dict: dict.unbind() })
    }

    /// Is it for names of this shape? They may be others all the same.
    pub(crate) fn is_of(&self, shape: Shape) -> bool {
        self.shape == shape
    }

    /// An environ with these values, if it is for their names. The keys that are fleeting are there, and
    /// are the caller's to set.
    pub(crate) fn fill<'a, 'py>(
        &mut self,
        py: Python<'py>,
        mut variables: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let dict = self.dict.bind(py);
        let environ = dict.copy()?;
        for known in &mut self.variables {
            let Some((name, value)) = variables.next() else { return Ok(None) };
            if *known.name != *name {
                return Ok(None);
            }
            if known.value.as_deref() == Some(value) {
                continue;
            }
            let key = known.key.bind(py);
            if known.value.take().is_some() {
                dict.set_item(key, py.None())?;
            }
            environ.set_item(key, string(py, name, value)?)?;
        }
        Ok(variables.next().is_none().then_some(environ))
    }
}
