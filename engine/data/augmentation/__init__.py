"""Augmentation: random changes to examples that leave their meaning as it is, so that a network sees more than there are.

A transform is called with examples, or with a batch of them, and with whatever belongs to them, such as labels, which it
returns as it is: `pictures, labels = transform(pictures, labels)`. Each example of a batch is changed in its own way. Give
one to `TensorDataset(..., transform=...)` or call it in the training loop. What is drawn comes from the `generator` of the
transform, or else from the default one, which a DataLoader replaces by the batch's own: so the same seed gives the same
pictures whatever the number of workers.

>>> import chainrule as cr
>>> transform = Compose([RandomCrop(8, padding=1), RandomHorizontalFlip(), Cutout(3)])
>>> pictures, labels = transform(cr.rand(5, 1, 8, 8), cr.tensor([0, 1, 2, 3, 4]))
>>> pictures.shape, labels
((5, 1, 8, 8), tensor([0, 1, 2, 3, 4]))
"""

from chainrule.data.augmentation.images import *
from chainrule.data.augmentation.mixing import *
from chainrule.data.augmentation.series import *
from chainrule.data.augmentation.transform import *
