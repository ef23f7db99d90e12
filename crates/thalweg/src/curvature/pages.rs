//! Rows of gradients in pages, of which two are in memory at a time.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use thalweg_kernels::long_rows::{Plain, add_weighted_squares};

use super::fisher_inverse::{Diagonal, finish_diagonal, subtract_along};
use super::precompute::{Denominators, precompute};
use super::{CurvatureError, check_dampening};
use crate::bridge::CpuFloat;

/// `m × d` rows in pages of as many rows each, the last one with fewer where it must be.
pub trait PageStore<F> {
    /// All rows, m.
    fn rows(&self) -> usize;

    /// Numbers of a row, d.
    fn width(&self) -> usize;

    /// Rows of a page.
    fn page_rows(&self) -> usize;

    /// A page, to be read or changed.
    ///
    /// # Errors
    /// When it cannot be read, or another not be written back.
    fn page(&mut self, index: usize) -> io::Result<&mut [F]>;

    /// An earlier page to be read and a later one to be changed.
    ///
    /// # Errors
    /// As of [`page`](Self::page).
    fn pair(&mut self, earlier: usize, later: usize) -> io::Result<(&[F], &mut [F])>;

    /// The number of pages.
    fn pages(&self) -> usize {
        self.rows().div_ceil(self.page_rows())
    }
}

/// All pages in memory, one after the other.
#[derive(Clone, Debug)]
pub struct MemoryPages<F> {
    numbers: Vec<F>,
    width: usize,
    page_rows: usize,
}

impl<F> MemoryPages<F> {
    /// Of row-major numbers.
    ///
    /// # Panics
    /// When they are no rows of `width`, or a page has no row.
    pub fn new(numbers: Vec<F>, width: usize, page_rows: usize) -> Self {
        assert!(width > 0 && page_rows > 0, "pages hold rows, and rows numbers");
        assert!(
            numbers.len().is_multiple_of(width),
            "{} numbers are no rows of {width}",
            numbers.len()
        );
        Self {
            numbers,
            width,
            page_rows,
        }
    }

    /// The numbers.
    pub fn into_numbers(self) -> Vec<F> {
        self.numbers
    }
}

impl<F> PageStore<F> for MemoryPages<F> {
    fn rows(&self) -> usize {
        self.numbers.len() / self.width
    }

    fn width(&self) -> usize {
        self.width
    }

    fn page_rows(&self) -> usize {
        self.page_rows
    }

    fn page(&mut self, index: usize) -> io::Result<&mut [F]> {
        let page = self.numbers.chunks_mut(self.page_rows * self.width).nth(index);
        Ok(page.expect("a page of the store"))
    }

    fn pair(&mut self, earlier: usize, later: usize) -> io::Result<(&[F], &mut [F])> {
        let size = self.page_rows * self.width;
        let (before, after) = self.numbers.split_at_mut(later * size);
        let end = size.min(after.len());
        Ok((&before[earlier * size..][..size], &mut after[..end]))
    }
}

/// A page in memory.
#[derive(Debug)]
struct Resident<F> {
    index: Option<usize>,
    changed: bool,
    numbers: Vec<F>,
}

/// Pages in a file: two of them are in memory, whatever the number of rows.
#[derive(Debug)]
pub struct FilePages<F> {
    file: File,
    rows: usize,
    width: usize,
    page_rows: usize,
    earlier: Resident<F>,
    later: Resident<F>,
}

impl<F: CpuFloat> FilePages<F> {
    /// In a file open for reading and writing, whose start holds `rows × width` numbers of this machine's bytes, row after
    /// row. They are overwritten.
    ///
    /// # Panics
    /// When there is no number, or a page has no row.
    pub fn new(file: File, rows: usize, width: usize, page_rows: usize) -> Self {
        assert!(
            rows > 0 && width > 0 && page_rows > 0,
            "pages hold rows, and rows numbers"
        );
        let resident = || Resident {
            index: None,
            changed: false,
            numbers: vec![F::zeroed(); page_rows.min(rows) * width],
        };
        Self {
            file,
            rows,
            width,
            page_rows,
            earlier: resident(),
            later: resident(),
        }
    }

    /// Appends rows to a file that pages are to be made of.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn append(file: &mut File, rows: &[F]) -> io::Result<()> {
        file.write_all(bytemuck::cast_slice(rows))
    }

    /// Where a page begins in the file, and the numbers it holds.
    fn extent(&self, index: usize) -> (SeekFrom, usize) {
        let first = index * self.page_rows;
        let rows = self.page_rows.min(self.rows - first);
        let start = first * self.width * size_of::<F>();
        (SeekFrom::Start(start as u64), rows * self.width)
    }

    fn write_back(&mut self) -> io::Result<()> {
        if let (Some(index), true) = (self.later.index, self.later.changed) {
            let (start, numbers) = self.extent(index);
            self.file.seek(start)?;
            self.file
                .write_all(bytemuck::cast_slice(&self.later.numbers[..numbers]))?;
            self.later.changed = false;
        }
        Ok(())
    }

    fn read(&mut self, index: usize, into: impl Fn(&mut Self) -> &mut Resident<F>) -> io::Result<()> {
        if into(self).index != Some(index) {
            let (start, numbers) = self.extent(index);
            self.file.seek(start)?;
            let mut page = std::mem::take(&mut into(self).numbers);
            let read = self
                .file
                .read_exact(bytemuck::cast_slice_mut(&mut page[..numbers]));
            let resident = into(self);
            resident.numbers = page;
            resident.index = read.is_ok().then_some(index);
            read?;
        }
        Ok(())
    }

    fn bring(&mut self, index: usize) -> io::Result<()> {
        if self.later.index != Some(index) {
            self.write_back()?;
            self.read(index, |pages| &mut pages.later)?;
        }
        if self.earlier.index == Some(index) {
            self.earlier.index = None;
        }
        self.later.changed = true;
        Ok(())
    }
}

impl<F: CpuFloat> PageStore<F> for FilePages<F> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn width(&self) -> usize {
        self.width
    }

    fn page_rows(&self) -> usize {
        self.page_rows
    }

    fn page(&mut self, index: usize) -> io::Result<&mut [F]> {
        self.bring(index)?;
        let (_, numbers) = self.extent(index);
        Ok(&mut self.later.numbers[..numbers])
    }

    fn pair(&mut self, earlier: usize, later: usize) -> io::Result<(&[F], &mut [F])> {
        self.bring(later)?;
        self.read(earlier, |pages| &mut pages.earlier)?;
        let ((_, before), (_, after)) = (self.extent(earlier), self.extent(later));
        Ok((&self.earlier.numbers[..before], &mut self.later.numbers[..after]))
    }
}

/// [`FisherInverse`](super::FisherInverse) of gradients in pages: the same numbers, bit for bit where its pages are as
/// large, for reading all earlier pages twice for each page.
#[derive(Debug)]
pub struct PagedFisherInverse<F, S> {
    store: S,
    denominators: Denominators,
    dampening: f64,
    numbers: std::marker::PhantomData<F>,
}

impl<F: Plain, S: PageStore<F>> PagedFisherInverse<F, S> {
    /// Precomputes, in place of the gradients in the store.
    ///
    /// # Errors
    /// When the dampening is not above 0, a gradient is not finite, products overflow or the store fails.
    pub fn new(dampening: f64, mut store: S) -> Result<Self, CurvatureError> {
        let dampening = check_dampening(dampening)?;
        let denominators = precompute(&mut store, dampening)?;
        Ok(Self {
            store,
            denominators,
            dampening,
            numbers: std::marker::PhantomData,
        })
    }

    /// `F⁻¹x`. Reads every page once.
    ///
    /// # Errors
    /// When the store fails.
    ///
    /// # Panics
    /// When x is not as long as a gradient.
    pub fn product(&mut self, x: &[F]) -> Result<Vec<F>, CurvatureError> {
        assert_eq!(x.len(), self.store.width(), "a number of each parameter");
        let mut out = x.to_vec();
        let rows = self.store.page_rows();
        for index in 0..self.store.pages() {
            let scale = if index == 0 { self.dampening.recip() } else { 1.0 };
            let denominators = &self.denominators.values[index * rows..];
            subtract_along(self.store.page(index)?, denominators, x, scale, &mut out);
        }
        Ok(out)
    }

    /// The diagonal of F⁻¹. Reads every page once.
    ///
    /// # Errors
    /// When the store fails.
    pub fn diagonal(&mut self) -> Result<Diagonal, CurvatureError> {
        let mut sums = vec![0.0; self.store.width()];
        let rows = self.store.page_rows();
        for index in 0..self.store.pages() {
            let weights = self.denominators.weights(index * rows);
            let page = self.store.page(index)?;
            let weights = &weights[..page.len() / sums.len()];
            add_weighted_squares(page, weights, &mut sums);
        }
        Ok(finish_diagonal(sums, self.dampening, self.denominators.floor))
    }
}
