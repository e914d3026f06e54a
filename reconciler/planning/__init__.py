"""From what is desired and what is live to what would be done. Pure: values in, values out."""
