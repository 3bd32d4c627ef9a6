"""Reading: files of a log, whatever their format, as text and codes. What a row means is not known here."""
