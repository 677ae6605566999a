"""What the box knows of DICOM: a stranger's bytes come in; checked facts and stored pixel values go out."""
