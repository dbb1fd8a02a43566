"""What gonogo decides, as pure functions: values in, values or a named error out."""
