"""From files to what they declare: reading, judging and explaining what people wrote."""
