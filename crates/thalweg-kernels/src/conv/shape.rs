//! Sizes of a convolution that agree with one another.

/// How the kernel moves over the image: depth, height, width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Steps between outputs.
    pub stride: [usize; 3],
    /// Zeros before and after.
    pub padding: [(usize, usize); 3],
    /// Steps between taps of the kernel.
    pub dilation: [usize; 3],
    /// Groups of channels, each convolved by itself.
    pub groups: usize,
}

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub(super) batch: usize,
    /// Per group.
    pub(super) channels_in: usize,
    /// Per group.
    pub(super) channels_out: usize,
    pub(super) input: [usize; 3],
    pub(super) kernel: [usize; 3],
    pub(super) output: [usize; 3],
    pub(super) options: Options,
}

/// Why there is no such convolution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A size, stride, dilation or number of groups of 0; only the batch may be empty.
    #[error("{what} is 0; it must be at least 1")]
    Zero {
        /// Which.
        what: &'static str,
    },
    /// Channels that cannot be split into groups.
    #[error("{channels} {which} channels do not make {groups} equal groups")]
    Groups {
        /// Input or output.
        which: &'static str,
        /// Their number.
        channels: usize,
        /// Groups asked for.
        groups: usize,
    },
    /// A weight for other channels.
    #[error(
        "the weight is for {found} input channels in each group, the input has {channels} in {groups} group(s)"
    )]
    Channels {
        /// By the weight.
        found: usize,
        /// Of the input.
        channels: usize,
        /// Groups asked for.
        groups: usize,
    },
    /// A kernel that does not fit.
    #[error("a kernel that spans {span} does not fit into a padded {axis} of {padded}")]
    TooLarge {
        /// Depth, height or width.
        axis: &'static str,
        /// Of the kernel, with its dilation.
        span: usize,
        /// Of the input, with its padding.
        padded: usize,
    },
}

const AXES: [&str; 3] = ["depth", "height", "width"];

impl Shape {
    /// Of an input `[batch, channels, depth, height, width]` and a weight `[channels out, channels in / groups, depth,
    /// height, width]`.
    ///
    /// # Errors
    /// When there is no such convolution.
    pub fn new(input: [usize; 5], weight: [usize; 5], options: Options) -> Result<Self, ShapeError> {
        let Options {
            stride,
            padding,
            dilation,
            groups,
        } = options;
        let [batch, channels, size @ ..] = input;
        let [outputs, per_group, kernel @ ..] = weight;
        let factors = [
            ("a stride", stride.contains(&0)),
            ("a dilation", dilation.contains(&0)),
            ("the number of groups", groups == 0),
            ("the number of input channels", channels == 0),
            ("the number of output channels", outputs == 0),
            ("a side of the input", size.contains(&0)),
            ("a side of the kernel", kernel.contains(&0)),
        ];
        if let Some((what, _)) = factors.into_iter().find(|&(_, zero)| zero) {
            return Err(ShapeError::Zero { what });
        }
        for (which, channels) in [("input", channels), ("output", outputs)] {
            if channels % groups != 0 {
                return Err(ShapeError::Groups {
                    which,
                    channels,
                    groups,
                });
            }
        }
        if per_group * groups != channels {
            return Err(ShapeError::Channels {
                found: per_group,
                channels,
                groups,
            });
        }
        let mut output = [0; 3];
        for axis in 0..3 {
            let span = (kernel[axis] - 1) * dilation[axis] + 1;
            let padded = size[axis] + padding[axis].0 + padding[axis].1;
            if span > padded {
                return Err(ShapeError::TooLarge {
                    axis: AXES[axis],
                    span,
                    padded,
                });
            }
            output[axis] = (padded - span) / stride[axis] + 1;
        }
        Ok(Self {
            batch,
            channels_in: per_group,
            channels_out: outputs / groups,
            input: size,
            kernel,
            output,
            options,
        })
    }

    /// Of the output: `[batch, channels, depth, height, width]`.
    pub fn output(&self) -> [usize; 5] {
        let [depth, height, width] = self.output;
        let channels = self.channels_out * self.options.groups;
        [self.batch, channels, depth, height, width]
    }

    /// Elements of an input image.
    pub(super) fn image_in(&self) -> usize {
        self.channels_in * self.options.groups * self.pixels_in()
    }

    /// Elements of an output image.
    pub(super) fn image_out(&self) -> usize {
        self.channels_out * self.options.groups * self.pixels_out()
    }

    pub(super) fn pixels_in(&self) -> usize {
        self.input.iter().product()
    }

    pub(super) fn pixels_out(&self) -> usize {
        self.output.iter().product()
    }

    /// Lines of output, in all depths.
    pub(super) fn lines(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Products that make one output.
    pub(super) fn taps(&self) -> usize {
        self.channels_in * self.kernel.iter().product::<usize>()
    }

    /// Elements of the weight.
    pub(super) fn weights(&self) -> usize {
        self.taps() * self.channels_out * self.options.groups
    }
}
